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
OUSTED_MS = 8_000
"""A link that ended soon counts as a dial that failed: what the back-off comes to after a few."""
Pair = tuple[str, str]


def both(one: Iterable[str], other: Iterable[str]) -> set[Pair]:
    """The ways between each of the one and each of the other."""
    right = list(other)
    return {pair for a in one for b in right for pair in ((a, b), (b, a))}


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
        self.former: set[str] = set()
        """The machines that are no nodes any more."""
        self._at: dict[tuple[str, str], str] = {}
        self._ousted_ms: dict[frozenset[str], int] = {}

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
        """A dial from one machine to the other; whether a link stands now."""
        pair = frozenset((one, other))
        if pair in self.linked:
            return True
        if not self.accepts(one, other):
            return False
        if self.now_ms - self._ousted_ms.get(pair, -OUSTED_MS) < OUSTED_MS:
            return False
        here, there = self.hosts[one], self.hosts[other]
        self._oust(one, there.contact.name)
        self._oust(other, here.contact.name)
        self._number += 1
        self.linked[pair] = self._number
        self._at[one, there.contact.name] = other
        self._at[other, here.contact.name] = one
        self._tell(here, LinkUp(there.contact, wan))
        self._tell(there, LinkUp(here.contact, wan))
        return True

    def accepts(self, one: str, other: str) -> bool:
        """Whether a dial from one to the other is answered, and neither refuses the other."""
        here, there = self.hosts[one], self.hosts[other]
        return self.answers(one, other) and not (there.refuses(here) or here.refuses(there))

    def _oust(self, one: str, peer: str) -> None:
        """Of two links with one ID the newer is kept."""
        other = self._at.get((one, peer))
        if other is not None:
            self._ousted_ms[frozenset((one, other))] = self.now_ms
            self.break_link(one, other)

    def machine(self, here: str, peer: str) -> str:
        """The machine with which `here` has a link under this ID; the ID where there is none."""
        return self._at.get((here, peer), peer)

    def break_link(self, one: str, other: str) -> None:
        """Ends the link between two machines, if there is one."""
        pair = frozenset((one, other))
        self._lossy.pop(pair, None)
        if self.linked.pop(pair, None) is None:
            return
        for here, there in ((one, other), (other, one)):
            peer = self.hosts[there].contact.name
            del self._at[here, peer]
            self._tell(self.hosts[here], LinkDown(peer, "broken"))

    def _tell(self, host: Host, event: Any) -> None:
        """In the order in which it happened, to the process that lived then."""
        life = host.life

        def tell() -> None:
            if host.up and host.life == life:
                host.feed(event)

        self.after(0, tell)

    def send(self, source: str, peer: str, data: bytes) -> None:
        """One frame to who is linked under this ID, after a latency, in order, perhaps twice."""
        target = self._at.get((source, peer))
        if target is None:
            return
        pair = frozenset((source, target))
        link, sender = self.linked[pair], self.hosts[source].contact.name
        self.messages += 1
        self.sent[source] = self.sent.get(source, 0) + 1
        self.sent_bytes[source] = self.sent_bytes.get(source, 0) + len(data)

        def arrive() -> None:
            if self.linked.get(pair) == link:
                if (source, target) in self.cut:
                    self._lose(pair)
                else:
                    self.hosts[target].feed(Received(sender, data))

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

    def stands_beside(self, name: str, like: str) -> None:
        """A machine that is new is cut off from whom the machine `like` is cut off from."""
        beside = {like: name}
        for cut, pairs in self._cuts.items():
            new = {(beside.get(a, a), beside.get(b, b)) for a, b in pairs if like in (a, b)}
            self._cuts[cut] = pairs | new
        self._recount()

    def end_cut(self, name: str) -> None:
        """Ends that cut, if there is one, and the links over which something was lost."""
        self._cuts.pop(name, None)
        self._recount()
        for pair in sorted(self._lossy, key=sorted):
            one, other = sorted(pair)
            if self.reachable(one, other) and self.reachable(other, one):
                self._give_up(pair)

    def _recount(self) -> None:
        self.cut = set().union(*self._cuts.values())
