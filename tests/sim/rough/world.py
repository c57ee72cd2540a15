"""A rough world: links that end a moment later at each end, cuts that overlap, and a digest of all
that happened, so that two runs of one seed can be compared."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from mesh.events import LinkDown, LinkUp, Received
from tests.sim.checks.facts import Fact
from tests.sim.world import Host, World

GIVEN_UP_MS = 15_000
"""After which a connection that lost packets ends: keepalive 10 s and its answer 5 s."""
Pair = tuple[str, str]


class RoughWorld(World):
    """A world whose faults may overlap. `watch` hears every fact; `line` every line of the trace,
    if somebody reads it."""

    def __init__(self, seed: int, watch: Callable[[Fact], None]) -> None:
        super().__init__(seed)
        self.watch = watch
        self.line: Callable[[str], None] | None = None
        self._digest = hashlib.sha256()
        self._cuts: dict[str, frozenset[Pair]] = {}
        self.sent: dict[str, int] = {}
        self.sent_bytes: dict[str, int] = {}
        self._lossy: dict[frozenset[str], int] = {}

    # ---- what happened ----

    def note(self, who: str, what: str, data: bytes = b"") -> None:
        """Adds to the trace, and to its digest."""
        text = f"{self.now_ms} {who} {what}"
        self._digest.update(text.encode())
        self._digest.update(data)
        if self.line is not None:
            self.line(text + (f" {len(data)} bytes" if data else ""))

    @property
    def digest(self) -> str:
        """Of all that happened so far, in hex."""
        return self._digest.hexdigest()

    # ---- links ----

    def connect(self, one: str, other: str, wan: bool) -> bool:
        """A dial from one to the other; whether a link stands now."""
        pair = frozenset((one, other))
        if pair in self.linked:
            return True
        here, there = self.hosts[one], self.hosts[other]
        if not self.answers(one, other) or there.refuses(here) or here.refuses(there):
            return False
        self._number += 1
        self.linked[pair] = self._number
        self._tell(here, LinkUp(there.contact, wan))
        self._tell(there, LinkUp(here.contact, wan))
        return True

    def break_link(self, one: str, other: str) -> None:
        """Ends the link between two, if there is one."""
        pair = frozenset((one, other))
        self._lossy.pop(pair, None)
        if self.linked.pop(pair, None) is not None:
            self._tell(self.hosts[one], LinkDown(other, "broken"))
            self._tell(self.hosts[other], LinkDown(one, "broken"))

    def _tell(self, host: Host, event: Any) -> None:
        """In the order in which it happened, to the process that lived then."""
        life = host.life

        def tell() -> None:
            if host.up and host.life == life:
                host.feed(event)

        self.after(0, tell)

    def send(self, source: str, target: str, data: bytes) -> None:
        """One frame, after a latency, in order, perhaps twice."""
        pair = frozenset((source, target))
        link = self.linked.get(pair)
        if link is None:
            return
        self.messages += 1
        self.sent[source] = self.sent.get(source, 0) + 1
        self.sent_bytes[source] = self.sent_bytes.get(source, 0) + len(data)

        def arrive() -> None:
            if self.linked.get(pair) == link:
                if (source, target) in self.cut:
                    self._lose(pair)
                else:
                    self.hosts[target].feed(Received(source, data))

        low, high = self.latency_ms
        way = source, target
        for _ in range(2 if self.duplicates and self.random.random() < self.duplicates else 1):
            at_ms = self.now_ms + low + int(self.random.random() * (high - low + 1))
            at_ms = max(at_ms, self._busy_until.get(way, 0))
            self._busy_until[way] = at_ms
            self.after(at_ms - self.now_ms, arrive)

    def _lose(self, pair: frozenset[str]) -> None:
        """What is lost ends the link: a connection delivers in order or is gone."""
        if pair not in self._lossy:
            self._lossy[pair] = self.linked[pair]
            self.after(GIVEN_UP_MS, lambda: self._give_up(pair))

    def _give_up(self, pair: frozenset[str]) -> None:
        if pair in self._lossy and self._lossy[pair] == self.linked.get(pair):
            self.break_link(*sorted(pair))
        self._lossy.pop(pair, None)

    # ---- cuts ----

    def begin_cut(self, name: str, pairs: Iterable[Pair], silent: bool) -> None:
        """Nothing goes from the first to the second of each pair. `silent`: links stand on."""
        self._cuts[name] = frozenset(pairs)
        self._recount()
        if not silent:
            for one, other in sorted(self._cuts[name]):
                self.break_link(one, other)

    def end_cut(self, name: str) -> None:
        """Ends that cut, and the links over which something was lost meanwhile."""
        self._cuts.pop(name)
        self._recount()
        for pair in sorted(self._lossy, key=sorted):
            one, other = sorted(pair)
            if self.reachable(one, other) and self.reachable(other, one):
                self._give_up(pair)

    def _recount(self) -> None:
        self.cut = set().union(*self._cuts.values())
