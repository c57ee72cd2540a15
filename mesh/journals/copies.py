"""How many bytes of others' records are kept here: bounded, for each writer and in all.

Records are never dropped where they were written, so nothing but a limit at the neighbours keeps
a node with a good key from filling their disks. What does not fit is not taken: it stays with its
writer, is offered again, and is taken once a master has acknowledged some of what is here and that
was let go. (Data has the disk's quota, see node/disk/journals.py.)
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.journals import limits
from mesh.journals.keys import RECORD, LogKey

Mark = tuple[int, int]
"""The last sequence of a run of entries, and the run's bytes."""


@dataclass(slots=True)
class _Copy:
    kept: list[Mark] = field(default_factory=list)  # oldest first
    coming: int = 0  # bytes that were accepted and are not on the disk yet

    @property
    def size(self) -> int:
        return self.coming + sum(size for _, size in self.kept)


class Copies:
    """Counts the copies of others' records. `held` says what is on the disk at the start."""

    def __init__(
        self,
        own: str,
        held: Mapping[LogKey, Iterable[Mark]],
        node_bytes_max: int = limits.COPY_BYTES_A_NODE_MAX,
        bytes_max: int = limits.COPY_BYTES_MAX,
    ) -> None:
        self._own = own
        self._node_bytes_max = node_bytes_max
        self._bytes_max = bytes_max
        self._copies: dict[LogKey, _Copy] = {}
        self._bytes: Counter[str] = Counter()
        for key, marks in held.items():
            for last, size in marks:
                self.stored(key, last, size)

    def fits(self, key: LogKey, size: int) -> bool:
        """Whether so many bytes more of a log may be taken."""
        return not self._counts(key) or self._fits(key.node, size)

    def crowded(self, node: str) -> bool:
        """Whether what a master has of this node's records should go before its seven days."""
        half = self._bytes[node] > self._node_bytes_max // 2
        return half or self._bytes.total() > self._bytes_max // 2

    def any_crowded(self) -> bool:
        """Whether some node's records should."""
        return any(self.crowded(node) for node in self._bytes)

    def full(self) -> list[str]:
        """The nodes of which not one whole batch of records more would be taken."""
        size = limits.ENVELOPE_BYTES_MAX
        node_max = self._node_bytes_max if self._bytes.total() + size <= self._bytes_max else 0
        return sorted(node for node, held in self._bytes.items() if held + size > node_max)

    def sheds(self, key: LogKey, up_to: int) -> bool:
        """Whether anything would be freed if the log's entries up to a sequence went."""
        copy = self._copies.get(key)
        return copy is not None and bool(copy.kept) and copy.kept[0][0] <= up_to

    def accepted(self, key: LogKey, size: int) -> None:
        """A batch of so many bytes is to be written."""
        if self._counts(key):
            self._copies.setdefault(key, _Copy()).coming += size
            self._bytes[key.node] += size

    def stored(self, key: LogKey, last: int, size: int) -> None:
        """A batch that ends with the entry `last` is on the disk, accepted before or not."""
        if not self._counts(key):
            return
        copy = self._copies.setdefault(key, _Copy())
        before = copy.size
        copy.coming = max(0, copy.coming - size)
        if copy.kept and copy.kept[-1][1] + size <= limits.MARK_BYTES:
            _, run = copy.kept.pop()
            copy.kept.append((last, run + size))
        else:
            copy.kept.append((last, size))
        self._bytes[key.node] += copy.size - before

    def abandoned(self, key: LogKey) -> None:
        """What was accepted of the log and is not stored will not be."""
        copy = self._copies.get(key)
        if copy is not None:
            self._bytes[key.node] -= copy.coming
            copy.coming = 0

    def trimmed(self, key: LogKey, up_to: int | None = None) -> None:
        """Entries up to a sequence (None: all) were removed from the disk."""
        copy = self._copies.get(key)
        if copy is None:
            return
        before = copy.size
        copy.kept = [mark for mark in copy.kept if up_to is not None and mark[0] > up_to]
        self._bytes[key.node] += copy.size - before
        if not copy.size:
            del self._copies[key]
        self._bytes += Counter()  # of nodes of which nothing is left, nothing is kept

    def _fits(self, node: str, size: int) -> bool:
        within = self._bytes[node] + size <= self._node_bytes_max
        return within and self._bytes.total() + size <= self._bytes_max

    def _counts(self, key: LogKey) -> bool:
        return key.kind == RECORD and key.node != self._own
