"""The boards of all artifacts that a neighbour has spoken of, bounded for each neighbour."""

from collections.abc import Collection

from mesh.blobs.board import Board

DIGEST_BYTES = 32


class Boards:
    """Boards by artifact. A neighbour has a name on at most `per_peer` of them."""

    def __init__(self, per_peer: int) -> None:
        self._per_peer = per_peer
        self._boards: dict[bytes, Board] = {}
        self._spoken: dict[str, set[bytes]] = {}

    def of(self, artifact: bytes) -> Board:
        """The artifact's board; a new one where nobody has spoken of it."""
        return self._boards.setdefault(artifact, Board())

    def for_word(self, peer: str, artifact: bytes) -> Board | None:
        """The board for a word of `peer`, or None if that is no digest, or one too many."""
        spoken = self._spoken.setdefault(peer, set())
        if len(artifact) != DIGEST_BYTES:
            return None
        if artifact not in spoken and len(spoken) >= self._per_peer:
            return None
        spoken.add(artifact)
        return self.of(artifact)

    def silent(self, peer: str, artifact: bytes) -> None:
        """The peer neither holds nor wants the artifact any more."""
        self._spoken[peer].discard(artifact)

    def gone(self, peer: str) -> None:
        """Forgets all that `peer` said."""
        for artifact in sorted(self._spoken.pop(peer, ())):
            self._boards[artifact].gone(peer)

    def stranded(self, wan: Collection[str]) -> list[bytes]:
        """The artifacts that neighbours fetch and none holds whole, where none of these neighbours
        is among those with a WAN path; sorted."""
        return sorted(
            artifact
            for artifact, board in self._boards.items()
            if board.words
            and len(board.fetching()) == len(board.words)
            and not board.words.keys() & set(wan)
        )

    def tidy(self, needed: set[bytes]) -> None:
        """Drops the boards that nobody has a word on, but for the `needed` ones."""
        spoken = needed.union(*self._spoken.values())
        for artifact in [artifact for artifact in self._boards if artifact not in spoken]:
            del self._boards[artifact]
