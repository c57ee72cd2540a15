"""Batches: what a log consists of, signed by the node that wrote it and chained by digest.

The rules:
- Every entry has a sequence, from 1 on in each log; one that was dropped has one too. So a
  number that is missing *is* the count of what was dropped, and nothing is lost silently.
- A batch names the SHA-256 of the payload of the batch before it. The order cannot be altered
  after the fact, not even by the node's own key, without being seen by who holds either end.
- Records are never dropped: a record batch that says so is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from mesh.hashing import sha256
from mesh.journals import limits
from mesh.journals.entries import entry_fault
from mesh.journals.keys import RECORD, LogKey, LogNameRefused
from mesh.signed import SignatureRefused, Signer, open_envelope, verify
from protos.documents_pb2 import JournalBatch, JournalEntry

BATCH = "journal"
"""The kind of a batch's envelope."""

_DIGEST_BYTES = 32


class BatchRefused(ValueError):
    """A batch is not what it should be, by the fault of whoever made or altered it.

    Nothing was changed. `reason` is one of: too large, malformed, wrong type, bad log, unknown
    node, unknown key, bad signature, bad sequence, bad entry.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries `first` to `last` of a log, checked; `digest` is the SHA-256 of its payload.

    `dropped` entries just before `first` were never written. `envelope` is the signed bytes.
    """

    key: LogKey
    first: int
    last: int
    previous: bytes
    digest: bytes
    dropped: int
    entries: tuple[JournalEntry, ...] = field(repr=False, compare=False)
    envelope: bytes = field(repr=False, compare=False)

    @property
    def start(self) -> int:
        """The sequence after the batch before: where the dropped entries begin, if any."""
        return self.first - self.dropped


def open_batch(envelope: bytes, signing_keys_of: Callable[[str], Sequence[bytes]]) -> Batch:
    """The batch in `envelope`, if the node that it names signed it.

    `signing_keys_of` gives the raw Ed25519 keys of those that had a node's ID, none for a node that
    is not known. Raises BatchRefused.
    """
    if len(envelope) > limits.ENVELOPE_BYTES_MAX:
        raise BatchRefused("too large", f"{len(envelope)} bytes")
    try:
        # The name is needed to find the key; everything else is used only once it is verified.
        node = _parse(open_envelope(envelope, BATCH).payload).log.node
        keys = signing_keys_of(node)
        if not keys:
            raise BatchRefused("unknown node", f"{node[:80]!r} is not in the roster known here")
        payload = verify(envelope, BATCH, keys).payload
    except SignatureRefused as refused:
        raise BatchRefused(refused.reason, str(refused)) from None
    return _checked(_parse(payload), sha256(payload), envelope)


def _parse(payload: bytes) -> JournalBatch:
    try:
        return JournalBatch.FromString(payload)
    except DecodeError:
        raise BatchRefused("malformed", "the payload is no batch") from None


def _checked(message: JournalBatch, digest: bytes, envelope: bytes) -> Batch:
    try:
        key = LogKey.from_name(message.log)
    except LogNameRefused as refused:
        raise BatchRefused("bad log", str(refused)) from None
    if not 1 <= len(message.entries) <= limits.ENTRIES_MAX:
        raise BatchRefused("bad entry", f"{len(message.entries)} entries")
    batch = Batch(
        key=key,
        first=message.first,
        last=message.first + len(message.entries) - 1,
        previous=message.previous,
        digest=digest,
        dropped=message.dropped,
        entries=tuple(message.entries),
        envelope=envelope,
    )
    fault = _sequence_fault(batch)
    if fault is not None:
        raise BatchRefused("bad sequence", fault)
    for entry in batch.entries:
        fault = entry_fault(entry)
        if fault is not None:
            raise BatchRefused("bad entry", fault)
    return batch


def _sequence_fault(batch: Batch) -> str | None:
    if batch.start < 1 or batch.last > limits.NUMBER_MAX:
        return f"entries {batch.first} to {batch.last} with {batch.dropped} dropped before"
    if batch.dropped and batch.key.kind == RECORD:
        return f"{batch.dropped} records dropped, and records never are"
    expected = 0 if batch.start == 1 else _DIGEST_BYTES
    if len(batch.previous) != expected:
        return f"the batch before is named by {len(batch.previous)} bytes, not {expected}"
    return None


class BatchWriter:
    """Writes one log of this node's own."""

    def __init__(
        self, key: LogKey, signer: Signer, next_sequence: int = 1, previous: bytes = b""
    ) -> None:
        self.key = key
        self._signer = signer
        self._next = next_sequence
        self._previous = previous

    @property
    def next_sequence(self) -> int:
        """The sequence of the next entry."""
        return self._next

    def batch(self, entries: Sequence[JournalEntry], dropped: int = 0) -> Batch:
        """The next batch of the log; `dropped` entries before it are given up and counted.

        The entries are within the limits (`make_entry`), 1 to ENTRIES_MAX of them, and together
        within PAYLOAD_BYTES_MAX. Raises BatchRefused, and the writer has not moved, if not.
        """
        message = JournalBatch(
            log=self.key.name(),
            first=self._next + dropped,
            previous=self._previous,
            entries=entries,
            dropped=dropped,
        )
        payload = message.SerializeToString(deterministic=True)
        if len(payload) > limits.PAYLOAD_BYTES_MAX:
            raise BatchRefused("too large", f"{len(payload)} bytes of entries in one batch")
        envelope = self._signer.sign(BATCH, payload)
        batch = _checked(message, sha256(payload), envelope)
        self._next, self._previous = batch.last + 1, batch.digest
        return batch

    def batches(self, entries: Sequence[JournalEntry], dropped: int = 0) -> Iterator[Batch]:
        """Like `batch`, for any number of entries: as few batches as the limits allow."""
        group: list[JournalEntry] = []
        size = 0
        for entry in entries:
            weight = entry.ByteSize() + _FRAMING_BYTES
            full = size + weight > limits.PAYLOAD_BYTES_MAX - _HEADER_BYTES
            if group and (full or len(group) == limits.ENTRIES_MAX):
                yield self.batch(group, dropped)
                group, size, dropped = [], 0, 0
            group.append(entry)
            size += weight
        if group:
            yield self.batch(group, dropped)


_FRAMING_BYTES = 4
"""Tag and length of an entry within its batch: lengths stay below 2 MiB."""

_HEADER_BYTES = 256
"""Name, sequence, digest and count of a batch: at most 172."""
