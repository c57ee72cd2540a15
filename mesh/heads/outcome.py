"""What comes of a head that was received: plain data, so that the caller decides what follows."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.signed import SignatureRefused, Verified, verify

READER_VERSION = 1
"""The version of the documents that this code reads. A document names the oldest reader it is
for; one for newer readers is kept and relayed, but never applied."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The head is the highest now. Persist `envelope` before anything is done about it."""

    envelope: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """It says exactly what is held. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Older:
    """It is below the floor: a peer that is behind, or a replay. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """The authority signed two contents under one number.

    `kept` is the envelope that stays in force, `other` the one that was not taken. Nothing was
    changed: keep both as evidence and raise an alarm; a higher head ends it.
    """

    kept: bytes
    other: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """It is no head for us. Nothing was changed.

    `reason` is one of a few words, for counting: too large, malformed, wrong type, unknown key,
    bad signature, other mesh, bad content, too new, `needs trust N`. `detail` says more, for a
    person. `needs_trust` is the N of the last: ask the sender for its trust head, then offer this
    head again. Where no known key signed it, N is only claimed. Otherwise `needs_trust` is 0.
    """

    reason: str
    detail: str
    needs_trust: int = 0


Outcome = Accepted | Known | Older | Equivocation | Refused


class HeadRefused(ValueError):
    """A head is not what it should be. Nothing was changed. `reason` as in Refused."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def open_head(envelope: bytes, kind: str, keys: Iterable[bytes], max_bytes: int) -> Verified:
    """The payload of a head's envelope, its size checked first, then its signature.

    Raises HeadRefused.
    """
    if len(envelope) > max_bytes:
        raise HeadRefused("too large", f"it has {len(envelope)} bytes; {max_bytes} are allowed")
    try:
        return verify(envelope, kind, keys)
    except SignatureRefused as error:
        raise HeadRefused(error.reason, str(error)) from None
