"""What `Logs` answers: plain data, so that the caller decides what follows from it."""

from dataclasses import dataclass

from mesh.journals.acknowledgements import Acknowledgement
from mesh.journals.batches import Batch


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log ends: the last entry's sequence and its batch's digest.

    An empty digest: the batch itself is not held, so that the chain starts anew behind it.
    """

    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch goes on where the log ended: store it, then report it as stored.

    `missing` entries before it are gone for good, by the data quota; 0 for records.
    """

    missing: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """All of the batch is held, or acknowledged by a master, already: do nothing."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records before the batch are not held. Ask again, from the entry `expected` on."""

    expected: int


@dataclass(frozen=True, slots=True)
class Fork:
    """The node signed two different histories of one log. The one that is held stays; the
    other, signed as well, is evidence for an alarm."""

    kept: Tail
    other: Batch


@dataclass(frozen=True, slots=True)
class Full:
    """This node has too many logs that no master has acknowledged: the log is not taken."""

    limit: int


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The copies of others' records here are at their limit: the batch is not taken now. Ask for
    the log's entries after `held` once there is room."""

    held: int


Verdict = Accepted | Duplicate | Gap | Fork | Full | NoRoom


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """News: the log is acknowledged up to a higher sequence. Keep and relay it."""

    acknowledgement: Acknowledgement


@dataclass(frozen=True, slots=True)
class Known:
    """An acknowledgement that says no more than is known."""

    acknowledgement: Acknowledgement


@dataclass(frozen=True, slots=True)
class Refused:
    """No acknowledgement: forged, out of bounds, or of a log that there is no room for."""

    reason: str
    detail: str
