"""How far a peer is relied on, by what it did: as a source, in its claims, as an owner.

Nothing here says that a peer is dead or hostile: it only decides whom this node asks and waits
for, and every verdict ends by itself.
"""

from mesh.blobs.swarm_limits import SwarmLimits


class Tally:
    """Counts offences of peers; at `limit` a peer is out until `out_ms` later, then starts anew."""

    def __init__(self, limit: int, out_ms: int) -> None:
        self._limit = limit
        self._out_ms = out_ms
        self._counts: dict[str, int] = {}
        self._until: dict[str, int] = {}

    def add(self, peer: str, count: int, now_ms: int) -> None:
        """`count` more offences."""
        self._counts[peer] = self._counts.get(peer, 0) + count
        if self._counts[peer] >= self._limit:
            self._until[peer] = now_ms + self._out_ms
            del self._counts[peer]

    def clear(self, peer: str) -> None:
        """The peer did well: offences below the limit are forgotten, and so is being out."""
        self._counts.pop(peer, None)
        self._until.pop(peer, None)

    def out(self, peer: str, now_ms: int) -> bool:
        """Whether the peer is out."""
        return now_ms < self._until.get(peer, now_ms)


class Credit:
    """What this node thinks of its peers as sources, claimers and owners."""

    def __init__(self, limits: SwarmLimits) -> None:
        self._limits = limits
        self._failures: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        self.corrupt = Tally(limits.corrupt_max, limits.ban_ms)
        """Bad bytes. Good ones do not make up for them."""
        self.broken = Tally(limits.broken_claims_max, limits.ban_ms)
        """Claims that came to nothing."""
        self.silent = Tally(limits.silences_max, limits.silence_ms)
        """Turns that were let pass."""

    def failed(self, source: str, now_ms: int) -> None:
        """A call did not work: the source rests, longer each time in a row."""
        failures = self._failures.get(source, 0)
        # The shift is bounded: a source that fails for years must not make a huge number.
        rest = min(self._limits.rest_ms << min(failures, 16), self._limits.rest_max_ms)
        self._failures[source] = failures + 1
        self._rests[source] = now_ms + rest

    def worked(self, source: str) -> None:
        """A chunk came from the source and was good."""
        self._failures.pop(source, None)
        self._rests.pop(source, None)

    def usable(self, source: str, now_ms: int) -> bool:
        """Whether the source may be asked now."""
        resting = now_ms < self._rests.get(source, now_ms)
        return not resting and not self.corrupt.out(source, now_ms)

    def counts(self, source: str, now_ms: int) -> bool:
        """Whether what a neighbour holds counts as held in the site."""
        failing = self._failures.get(source, 0) >= self._limits.failures_counted
        return not failing and not self.corrupt.out(source, now_ms)

    def heeded(self, peer: str, now_ms: int) -> bool:
        """Whether a neighbour's claims are heeded."""
        return not self.broken.out(peer, now_ms) and not self.corrupt.out(peer, now_ms)

    def takes_turns(self, peer: str, now_ms: int) -> bool:
        """Whether a neighbour counts as an owner whose turn is waited for."""
        return self.heeded(peer, now_ms) and not self.silent.out(peer, now_ms)
