"""Acknowledgements: "everything of this log up to here is on my disk", signed by a master.

Given only for what is on disk there. The highest sequence of a log wins, whoever signed it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from mesh.hashing import sha256
from mesh.journals import limits
from mesh.journals.keys import LogKey, LogNameRefused
from mesh.signed import SignatureRefused, Signer, verify
from protos.documents_pb2 import Acknowledgement as Message

ACKNOWLEDGEMENT = "acknowledgement"
"""The kind of an acknowledgement's envelope."""


class AcknowledgementRefused(ValueError):
    """An acknowledgement is forged, altered or out of bounds. Nothing was changed.

    `reason` is one of: too large, malformed, wrong type, unknown key, bad signature, bad log,
    bad sequence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Entries up to `sequence` of the log `key` are on the disk of `master`."""

    key: LogKey
    sequence: int
    master: str = field(compare=False)
    envelope: bytes = field(repr=False, compare=False)

    def digest(self) -> bytes:
        """32 bytes for a fingerprint: of what is said, not of who signed it."""
        name = self.key.name().SerializeToString(deterministic=True)
        return sha256(name + self.sequence.to_bytes(8, "big"))


def acknowledge(key: LogKey, sequence: int, master: str, signer: Signer) -> bytes:
    """The envelope by which `master` says that it keeps the log up to `sequence`."""
    message = Message(log=key.name(), sequence=sequence, master=master)
    return signer.sign(ACKNOWLEDGEMENT, message.SerializeToString(deterministic=True))


def open_acknowledgement(envelope: bytes, keys: Iterable[bytes]) -> Acknowledgement:
    """What `envelope` acknowledges, if one of `keys` (raw Ed25519, role `acknowledge`) signed it.

    Raises AcknowledgementRefused.
    """
    if len(envelope) > limits.ACKNOWLEDGEMENT_BYTES_MAX:
        raise AcknowledgementRefused("too large", f"{len(envelope)} bytes")
    try:
        message = Message.FromString(verify(envelope, ACKNOWLEDGEMENT, keys).payload)
        key = LogKey.from_name(message.log)
    except SignatureRefused as refused:
        raise AcknowledgementRefused(refused.reason, str(refused)) from None
    except DecodeError:
        raise AcknowledgementRefused("malformed", "the payload is no acknowledgement") from None
    except LogNameRefused as refused:
        raise AcknowledgementRefused("bad log", str(refused)) from None
    if not 1 <= message.sequence <= limits.NUMBER_MAX:
        raise AcknowledgementRefused("bad sequence", f"{message.sequence}")
    return Acknowledgement(key, message.sequence, message.master, envelope)
