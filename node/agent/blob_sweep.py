"""Small blobs that nothing names any more: branches of states gone by, manifests of versions gone.

Each new state brings some, so a node that nobody visits for years would fill its disk with them.
What two sweeps in a row find without use goes; what is needed after all comes again from a peer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import structlog

from mesh.core.node import NodeCore
from node.disk.errors import DiskError
from node.disk.small_blobs import SmallBlobs

SWEEP_S = 3600.0
"""Between two sweeps: longer than a state takes to come, branch by branch, over any link that
brings it at all. A state an hour leaves about 10 KiB."""

log = structlog.get_logger(__name__)


class BlobSweep:
    """Sweeps one store. `needed` gives the digests that something names now, asked before each
    removal. `alone`: held for each removal by itself; who needs what is removed meanwhile waits
    for it, and puts that again."""

    def __init__(
        self,
        blobs: SmallBlobs,
        needed: Callable[[], Collection[bytes]],
        in_thread: Callable[..., Awaitable[Any]],
        alone: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        self._blobs = blobs
        self._needed = needed
        self._in_thread = in_thread
        self._alone = alone or nullcontext()
        self._idle: set[bytes] = set()

    async def run(self) -> None:
        """Sweeps now and then. Cancel to end."""
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Sweeps once."""
        try:
            held = set(await self._in_thread(self._blobs.sizes))
            idle = held - set(self._needed())
            gone = idle & self._idle
            for digest in sorted(gone):
                async with self._alone:
                    if digest not in self._needed():  # a state may have come that names it again
                        await self._in_thread(self._blobs.discard, digest)
        except DiskError as error:
            log.error("small blobs cannot be swept", error=str(error))
            return
        self._idle = idle - gone
        if gone:
            log.info("small blobs that nothing names were removed", count=len(gone))


def named_by_node(core: NodeCore) -> set[bytes]:
    """The branches of the state in force, and the manifests of all that a node may have to run."""
    branches = core.peer.heads.branches.values()
    return {branch.digest for branch in branches} | core.artifacts.known.keys()
