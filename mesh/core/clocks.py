"""Wall clocks that are wrong: told, and acted upon in nothing.

A node knows two things that a wall clock should agree with: when the authority signed last, which
is a time that has passed, and when its neighbours wrote the entries of journals that come here. An
entry was written before it came, so a writer is *ahead* by at least the difference; how far one is
behind cannot be told from what may have lain on a disk for days. So:

- Behind the last signature by more than `OFF_MS`: this node's clock is wrong (or the master's).
- More than half of the neighbours heard of are ahead, two at least: this node's clock is wrong.
- Otherwise, a neighbour that is ahead: one of the two clocks is wrong. A liar makes no more of it.

Order comes from counters and durations from the monotonic clock, so a wrong wall clock costs wrong
times in the journal, and local changes that end too late or too early.
"""

from collections.abc import Collection

from mesh.journals.batches import Batch

OFF_MS = 60_000
"""NTP keeps clocks within milliseconds, and people who set one by hand within seconds."""
FRESH_MS = 60 * 60_000
"""How long what a neighbour said counts: its clock may have been set right since, and it writes
little when nothing happens."""
WAY_OUT = "see to its time service (NTP); nothing but times in the journal depends on it"


class Clocks:
    """The wall clocks of a site, as the node `own` knows them. `faults`: node to what is wrong."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._said: dict[str, tuple[int, int]] = {}  # node -> its wall clock, at our monotonic one
        self.faults: dict[str, str] = {}

    def heard(self, batch: Batch, now_ms: int) -> None:
        """Entries that a node wrote have come."""
        if batch.key.node != self._own:
            self._said[batch.key.node] = (batch.entries[-1].unix_ms, now_ms)

    def look(self, live: Collection[str], wall_ms: int, signed_ms: int, now_ms: int) -> None:
        """Looks again. `signed_ms`: when the authority signed last."""
        self._said = {
            node: (unix_ms, at_ms)
            for node, (unix_ms, at_ms) in self._said.items()
            if node in live and now_ms - at_ms <= FRESH_MS
        }
        self.faults = self._wrong(wall_ms, signed_ms, now_ms)

    def _wrong(self, wall_ms: int, signed_ms: int, now_ms: int) -> dict[str, str]:
        ahead = [
            node
            for node, (unix_ms, at_ms) in self._said.items()
            if unix_ms + now_ms - at_ms - wall_ms > OFF_MS
        ]
        if signed_ms - wall_ms > OFF_MS:
            return {self._own: _text("behind the authority's last signature")}
        if len(ahead) >= 2 and 2 * len(ahead) > len(self._said):
            return {self._own: _text("behind those of most neighbours")}
        return {node: _text(f"ahead of that of {self._own}, or that is behind") for node in ahead}


def _text(how: str) -> str:
    return f"its wall clock is {how}, by more than {OFF_MS // 1000} s: {WAY_OUT}"
