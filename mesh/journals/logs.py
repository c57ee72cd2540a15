"""Which logs are held up to where, and what of them a master has acknowledged. Bookkeeping only.

For each log three positions, in this order when all is well:

    acknowledged  <=  held (on this disk)  <=  taken (accepted, being written)

- A batch is accepted only where it joins the taken end, so entries arrive once and in order. A
  record log has no gaps; a data log may go on later, and the gap is counted.
- Only what is *held* is offered to others, and only what is held may be acknowledged.
- What a master has acknowledged need not be fetched again: a copy may begin behind it. A master's
  own archive takes no one's word for that: what is not on its disk, it asks for.
- Nothing is forgotten before it is acknowledged and seven days are over; copies of others' records
  go earlier where they are many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.journals import limits
from mesh.journals.acknowledgements import (
    Acknowledgement,
    AcknowledgementRefused,
    open_acknowledgement,
)
from mesh.journals.batches import Batch
from mesh.journals.copies import Copies, Mark
from mesh.journals.keys import RECORD, LogKey
from mesh.journals.outcomes import (
    Accepted,
    Acknowledged,
    Duplicate,
    Fork,
    Full,
    Gap,
    Known,
    NoRoom,
    Refused,
    Tail,
    Verdict,
)

_EMPTY = Tail(0, b"")


@dataclass(slots=True)
class _Log:
    held: Tail = _EMPTY
    taken: Tail = _EMPTY
    acknowledgement: Acknowledgement | None = None
    digest: bytes = b""
    # (ms, sequence): at that time, all up to the sequence was acknowledged. Oldest first.
    checkpoints: list[tuple[int, int]] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return 0 if self.acknowledgement is None else self.acknowledgement.sequence

    @property
    def settled(self) -> bool:
        """Nothing of it is held, or being written, that no master has."""
        return self.acknowledged >= self.taken.sequence

    def checkpoint(self, now_ms: int) -> None:
        """Notes when the acknowledgement came. The newest note moves on until it is a day after
        the one before it; of those beyond the seven days only the last matters."""
        points = self.checkpoints
        if len(points) > 1 and points[-1][0] - points[-2][0] < limits.CHECKPOINT_EVERY_MS:
            points.pop()
        points.append((now_ms, self.acknowledged))
        while len(points) > 1 and points[1][0] <= now_ms - limits.KEPT_AFTER_ACKNOWLEDGEMENT_MS:
            points.pop(0)


class Logs:
    """The logs that one peer knows.

    `held` says what is on its disk at the start, `sizes` how much of each. `own` is the node
    itself, whose logs no limit turns away. `archive` is set on a master, which takes all records.
    """

    def __init__(
        self,
        held: Mapping[LogKey, Tail],
        *,
        own: str = "",
        archive: bool = False,
        per_node_max: int = limits.LOGS_PER_NODE_MAX,
        sizes: Mapping[LogKey, Sequence[Mark]] | None = None,
    ) -> None:
        self._own = own
        self.copies = Copies(own, sizes or {})
        self._archive = archive
        self._per_node_max = per_node_max
        self._logs: dict[LogKey, _Log] = {}
        self.generation = 0
        """Grows with each change of what is acknowledged."""
        self._keys_of: dict[str, set[LogKey]] = {}
        for key, tail in held.items():
            self._add(key, _Log(held=tail, taken=tail))

    # ---- batches ---------------------------------------------------------------------------

    def accept(self, batch: Batch) -> Verdict:
        """Whether `batch` joins its log. If Accepted, it counts as taken: write it to disk and
        report `stored`, or `abandoned` where the disk refused."""
        log = self._logs.get(batch.key)
        if log is None and not self._room(batch.key):
            return Full(self._per_node_max)
        end = self._end(log)
        verdict = _join(end, batch)
        if isinstance(verdict, Accepted | Gap) and not self._fits(batch.key, len(batch.envelope)):
            return NoRoom(end.sequence)
        if isinstance(verdict, Accepted):
            log = log or self._add(batch.key, _Log())
            self.copies.accepted(batch.key, len(batch.envelope))
            log.taken = Tail(batch.last, batch.digest)
        return verdict

    def stored(self, batch: Batch) -> None:
        """`batch`, accepted before, is durable on this disk."""
        log = self._logs.get(batch.key) or self._add(batch.key, _Log())
        if batch.last > log.held.sequence:
            log.held = Tail(batch.last, batch.digest)
            self.copies.stored(batch.key, batch.last, len(batch.envelope))
        if log.taken.sequence < log.held.sequence:
            log.taken = log.held

    def abandoned(self, key: LogKey) -> None:
        """What was accepted of this log and is not stored yet will not be: it may come again."""
        log = self._logs.get(key)
        if log is not None:
            log.taken = log.held
            self.copies.abandoned(key)

    def forgotten(self, key: LogKey) -> None:
        """The log's entries were removed from this disk. Its acknowledgement stays known, so that
        nobody fetches it again."""
        log = self._logs.get(key)
        if log is None:
            return
        log.held = log.taken = _EMPTY
        self.copies.trimmed(key)
        if log.acknowledgement is None:
            self._remove(key)

    # ---- what others need, what they have ----------------------------------------------------

    def held(self, key: LogKey) -> Tail | None:
        """Where the log ends on this disk; None if nothing of it is held."""
        log = self._logs.get(key)
        return None if log is None or log.held == _EMPTY else log.held

    def goes_beyond(self, key: LogKey, sequence: int) -> bool:
        """Whether more of the log than that is held on this disk."""
        log = self._logs.get(key)
        return log is not None and log.held.sequence > sequence

    def unacknowledged(self) -> list[tuple[LogKey, int]]:
        """Logs held beyond their acknowledgement, with the last sequence held: what to offer.

        Records come first, then by node and boot.
        """
        beyond = [
            (key, log.held.sequence)
            for key, log in self._logs.items()
            if log.held.sequence > log.acknowledged
        ]
        return sorted(beyond, key=lambda item: (item[0].kind != RECORD, item[0]))

    def wanted(self, offer: Mapping[LogKey, int]) -> dict[LogKey, int]:
        """Of what a peer offers (log to last sequence), the logs that go on beyond what is here,
        each with the sequence after which to send."""
        result: dict[LogKey, int] = {}
        for key in sorted(offer, key=lambda key: (key.kind != RECORD, key)):
            log = self._logs.get(key)
            if not self._fits(key, 1) or (log is None and not self._room(key)):
                continue
            end = self._end(log).sequence
            if offer[key] > end:
                result[key] = end
        return result

    # ---- acknowledgements --------------------------------------------------------------------

    def acknowledge(
        self, envelope: bytes, keys: Sequence[bytes], now_ms: int
    ) -> Acknowledged | Known | Refused:
        """Takes an acknowledgement from anywhere; the highest sequence of a log wins.

        `keys` are the raw Ed25519 keys with the role `acknowledge`.
        """
        try:
            news = open_acknowledgement(envelope, keys)
        except AcknowledgementRefused as refused:
            return Refused(refused.reason, str(refused))
        log = self._logs.get(news.key)
        if log is None:
            if not self._room(news.key):
                return Refused("full", f"{self._per_node_max} logs of {news.key.node} are known")
            log = self._add(news.key, _Log())
        if news.sequence <= log.acknowledged:
            return Known(news)
        log.acknowledgement, log.digest = news, news.digest()
        self.generation += 1
        log.checkpoint(now_ms)
        return Acknowledged(news)

    def acknowledged(self, key: LogKey) -> int:
        """The last sequence of the log that a master has; 0 if none."""
        log = self._logs.get(key)
        return 0 if log is None else log.acknowledged

    def acknowledgements(self) -> list[tuple[LogKey, int, bytes]]:
        """All that are known: log, sequence and envelope, sorted by log."""
        return [
            (key, log.acknowledgement.sequence, log.acknowledgement.envelope)
            for key, log in sorted(self._logs.items(), key=lambda item: item[0])
            if log.acknowledgement is not None
        ]

    def digests(self) -> list[bytes]:
        """One digest an acknowledgement, for the fingerprint of an exchange."""
        return [log.digest for log in self._logs.values() if log.digest]

    def trimmable(self, now_ms: int) -> list[tuple[LogKey, int]]:
        """Held logs of which entries up to a sequence were acknowledged seven days ago or more, or
        acknowledged at all where copies are many.

        The days are counted from when this process learnt of it: a restart makes them longer.
        """
        result: list[tuple[LogKey, int]] = []
        before = now_ms - limits.KEPT_AFTER_ACKNOWLEDGEMENT_MS
        for key, log in sorted(self._logs.items(), key=lambda item: item[0]):
            old = [sequence for since, sequence in log.checkpoints if since <= before]
            if self.copies.crowded(key.node) and self.copies.sheds(key, log.acknowledged):
                result.append((key, min(log.acknowledged, log.held.sequence)))
            elif old and log.held != _EMPTY:
                result.append((key, min(old[-1], log.held.sequence)))
        return result

    # ---- inside --------------------------------------------------------------------------------

    def _end(self, log: _Log | None) -> Tail:
        """Where the next batch must join."""
        if log is None:
            return _EMPTY
        if log.acknowledged > log.taken.sequence and not self._archive:
            return Tail(log.acknowledged, b"")
        return log.taken

    def _fits(self, key: LogKey, size: int) -> bool:
        return self._archive or self.copies.fits(key, size)

    def _room(self, key: LogKey) -> bool:
        """Whether one more log of the node fits, once the oldest settled one is let go."""
        known = self._keys_of.get(key.node, set())
        if key.node == self._own or len(known) < self._per_node_max:
            return True
        oldest = self._oldest_settled(key.node)
        return oldest is not None and oldest < key

    def _oldest_settled(self, node: str) -> LogKey | None:
        settled = (key for key in self._keys_of[node] if self._logs[key].settled)
        return min(settled, default=None)

    def _add(self, key: LogKey, log: _Log) -> _Log:
        known = self._keys_of.setdefault(key.node, set())
        if key.node != self._own and len(known) >= self._per_node_max:
            oldest = self._oldest_settled(key.node)
            if oldest is not None:
                self._remove(oldest)
        self._logs[key] = log
        known.add(key)
        return log

    def _remove(self, key: LogKey) -> None:
        self.generation += 1
        del self._logs[key]
        self._keys_of[key.node].discard(key)


def _join(end: Tail, batch: Batch) -> Verdict:
    """How `batch` stands to a log that ends at `end`."""
    if batch.last <= end.sequence:
        same_place = batch.last == end.sequence and end.digest != b""
        return Fork(end, batch) if same_place and batch.digest != end.digest else Duplicate()
    expected = end.sequence + 1
    if batch.start < expected:
        return Fork(end, batch)  # honest batches of a log never overlap
    if batch.start == expected:
        broken = end.digest != b"" and batch.previous != end.digest
        return Fork(end, batch) if broken else Accepted(missing=batch.dropped)
    if batch.key.kind == RECORD:
        return Gap(expected)
    return Accepted(missing=batch.first - expected)
