"""What the parts of a master's backend share: what they look at, and how they change it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mesh.blobs.manifest import ManifestRefused
from mesh.desired.problems import ResourcesRefused
from mesh.peer import Peer
from node.admin.backend import BadInput, Exhausted, NotFound, Refused
from node.agent.links import Links
from node.agent.master_alarms import MasterAlarms
from node.disk.blobs import (
    BlobStore,
    ChunkCorrupt,
    ChunksMissing,
    ManifestContradicts,
    UnknownArtifact,
)
from node.disk.errors import DiskError
from node.disk.journals import JournalStore
from node.master import errors as master_errors
from node.master.authority import Authority
from node.master.outages import LinkHistory
from node.master.store import StoreRefused


@dataclass
class MasterParts:
    """What a master's backend looks at and changes. `changed` tells the peer of a new state;
    `address` gives this master's own."""

    name: str
    authority: Authority
    peer: Peer
    links: Links
    blobs: BlobStore
    journals: JournalStore
    history: LinkHistory
    alarms: MasterAlarms
    heard_ms: dict[str, int]
    changed: Callable[[], Awaitable[None]]
    started_ms: int
    address: Callable[[], str]


class MasterPart:
    """A part of a master's backend."""

    def __init__(self, parts: MasterParts) -> None:
        self._p = parts

    async def _change(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls the authority or a store in a thread, tells its refusals in the service's words,
        and lets the peer announce a state that is new."""
        try:
            result = await asyncio.to_thread(function, *arguments)
        except (ResourcesRefused, ManifestRefused, ChunkCorrupt) as refused:
            raise BadInput(str(refused)) from None
        except ManifestContradicts as wrong:
            raise BadInput(
                f"{wrong} is not what the manifest says; make the artifact anew"
            ) from None
        except ChunksMissing as short:
            raise Refused(f"{short}; push it again to go on") from None
        except (master_errors.NotFound, UnknownArtifact) as refused:
            raise NotFound(str(refused)) from None
        except master_errors.Busy as busy:
            raise Exhausted(str(busy)) from None
        except master_errors.MasterRefused as refused:
            raise Refused(str(refused)) from None
        except (DiskError, StoreRefused) as error:
            raise Exhausted(str(error)) from None
        await self._p.changed()
        return result
