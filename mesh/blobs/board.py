"""What the neighbours say of one artifact: who holds which chunks, who fetches which.

A word may come before the artifact's manifest: it is kept, and looked at once the number of
chunks is known. A word whose bitmap does not fit is dropped: its peer is then one that has said
nothing, neither a source nor an owner.
"""

from dataclasses import dataclass

from mesh.blobs import bitmaps
from mesh.blobs.claims import Claims
from mesh.blobs.swarm_limits import BITMAP_BYTES_MAX
from protos.peer_pb2 import Holdings

EVERY_CHUNK = -1
"""All bits set: the holdings of a peer that holds all of an artifact of unknown size."""


@dataclass(frozen=True, slots=True)
class Word:
    """One neighbour's holdings; `length` is its bitmap's, in bytes."""

    bits: int
    length: int
    complete: bool

    def fits(self, count: int) -> bool:
        """Whether an artifact of `count` chunks can have these holdings."""
        return self.complete or (self.length == bitmaps.length(count) and not self.bits >> count)


class Board:
    """The neighbours' holdings of one artifact, and their claims on it."""

    def __init__(self) -> None:
        self.words: dict[str, Word] = {}
        self.claims = Claims()
        self.count: int | None = None
        self.copies: list[int] = []
        """Of each chunk, how many neighbours hold it; empty while the count is unknown."""

    def know(self, count: int) -> None:
        """The artifact has `count` chunks: what does not fit is dropped."""
        self.count = count
        self.copies = [0] * count
        self.claims.cut(count)
        words, self.words = self.words, {}
        for peer in sorted(words):
            if words[peer].fits(count):
                self._put(peer, words[peer])

    def said(self, peer: str, holdings: Holdings) -> bool:
        """Takes a neighbour's word; False if it cannot be true, which leaves its last one.

        An empty bitmap that is not complete: the peer neither holds nor wants the artifact.
        """
        if not holdings.complete and not holdings.bitmap:
            self.gone(peer)
            return True
        word = _word(holdings)
        if word is None or (self.count is not None and not word.fits(self.count)):
            return False
        self._put(peer, word)
        return True

    def gone(self, peer: str) -> None:
        """Forgets what `peer` said."""
        self.claims.gone(peer)
        word = self.words.pop(peer, None)
        if word is not None:
            self._count(word.bits, -1)

    def bits(self, peer: str) -> int:
        """The chunks that `peer` says it holds; none if it said nothing."""
        word = self.words.get(peer)
        return 0 if word is None else word.bits

    def fetching(self) -> list[str]:
        """The neighbours that want the artifact and do not hold all of it, sorted."""
        return sorted(peer for peer, word in self.words.items() if not word.complete)

    def _put(self, peer: str, word: Word) -> None:
        before = self.bits(peer)
        if word.complete and self.count is not None:
            word = Word(bitmaps.full(self.count), 0, True)
        self.words[peer] = word
        self._count(word.bits & ~before, 1)
        self._count(before & ~word.bits, -1)

    def _count(self, bits: int, by: int) -> None:
        if self.count is not None:
            for chunk in bitmaps.members(bits):
                self.copies[chunk] += by


def _word(holdings: Holdings) -> Word | None:
    if holdings.complete:
        return Word(EVERY_CHUNK, 0, True)
    if len(holdings.bitmap) > BITMAP_BYTES_MAX:
        return None
    return Word(bitmaps.from_bytes(holdings.bitmap), len(holdings.bitmap), False)
