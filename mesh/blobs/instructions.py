"""What the swarm asks of its caller: plain data, to be carried out in order."""

from dataclasses import dataclass
from enum import Enum

from protos.peer_pb2 import Claim, Holdings


class Fault(Enum):
    """Why a chunk did not come from a source."""

    CORRUPT = "corrupt"
    """Bytes came whose length or digest is not the manifest's."""
    MISSING = "missing"
    """The source says that it does not hold the chunk (any more)."""
    UNREACHABLE = "unreachable"
    """No call to the source, or it broke off."""
    SLOW = "slow"
    """The deadline passed first."""


@dataclass(frozen=True, slots=True)
class FetchChunks:
    """Ask `source` for these chunks, in this order, in one call.

    The caller reports each chunk once: `stored` after its length and hash were checked and it was
    written, or `failed`. `wan`: the source is outside the site.
    """

    source: str
    artifact: bytes
    chunks: tuple[int, ...]
    wan: bool


@dataclass(frozen=True, slots=True)
class TellHoldings:
    """Send this to `peer`, or, if that is None, to all neighbours of the site."""

    peer: str | None
    holdings: Holdings


@dataclass(frozen=True, slots=True)
class TellClaim:
    """Send this to all neighbours of the site, before the fetches that follow it."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class ArtifactComplete:
    """Every chunk of `artifact` was stored."""

    artifact: bytes


Instruction = FetchChunks | TellHoldings | TellClaim | ArtifactComplete
