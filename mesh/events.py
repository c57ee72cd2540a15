"""What goes into a core and what comes out: plain data, nothing else.

Events go in, instructions come out, and the edge carries the instructions out in order: a `Send`
that depends on a `Save…` stands after it. Each instruction says the cause that led to it.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Contact:
    """The other end of a link, as its certificate says it (checked by the edge)."""

    name: str
    role: str
    site: str
    tls_key: bytes
    signing_key: bytes


# ---- instructions ----


@dataclass(frozen=True, slots=True)
class Send:
    """Send one frame (encoded) to a linked peer; if the link is gone, drop it."""

    peer: str
    data: bytes
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the link with a peer."""

    peer: str
    cause: str


@dataclass(frozen=True, slots=True)
class SaveDocument:
    """Replace a named document on disk, durably."""

    name: str
    data: bytes
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SaveBlob:
    """Keep a small blob (a branch, a manifest) on disk."""

    data: bytes
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SendBlobs:
    """Read small blobs and send them to a peer; those not held are named as missing."""

    peer: str
    digests: tuple[bytes, ...]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SaveBatch:
    """Append a verified batch of somebody's journal, durably, and report `BatchSaved`."""

    batch: Any
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SendBatches:
    """Read batches of a log that follow a sequence, send them, and report `BatchesSent`."""

    peer: str
    log: Any
    after: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Write down, as a master, up to where each log is on disk here; sign that, and report
    `AcknowledgementsSigned`."""

    tails: tuple[tuple[Any, int], ...]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Append an entry to this node's own journal. `kind` is record or data."""

    kind: str
    event: str
    subject: str
    cause: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the cores above should look at; it does not leave the process.

    `what`: state, register, verdict, link, synced, blob, clone, boot, equivocation, refused, load.
    """

    what: str
    subject: str
    cause: str = ""
    data: Any = None


Instruction = (
    Send
    | Drop
    | SaveDocument
    | SaveBlob
    | SendBlobs
    | SaveBatch
    | SendBatches
    | Acknowledge
    | WriteJournal
    | Notice
)


# ---- events ----


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A control stream with a peer stands."""

    contact: Contact
    wan: bool


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The last control stream with a peer ended."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """An attempt to reach a peer failed."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """One frame (encoded) arrived from a linked peer."""

    peer: str
    data: bytes


@dataclass(frozen=True, slots=True)
class BatchSaved:
    """A batch, own or another's, is on disk."""

    batch: Any


@dataclass(frozen=True, slots=True)
class AcknowledgementsSigned:
    """A master's acknowledgements, written down and signed."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BatchLost:
    """What was to be saved of a log could not be."""

    log: Any
    reason: str


@dataclass(frozen=True, slots=True)
class BatchesSent:
    """Batches of a log up to `last` were handed to the link (`last` == `after`: none was found)."""

    peer: str
    log: Any
    last: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. To be given every 100 to 200 ms. `wall_ms`: the wall clock, for people."""

    wall_ms: int = 0


Event = (
    LinkUp
    | LinkDown
    | DialFailed
    | Received
    | BatchSaved
    | BatchLost
    | AcknowledgementsSigned
    | BatchesSent
    | Tick
)
