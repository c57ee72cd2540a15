"""Who is alive: watching, suspecting, and deriving that a node is dead.

Each node is watched by its two successors on a hash ring, every second, and by one node more,
another each five seconds. A watched node that does not answer is asked for through up to three
others; if none of them reaches it either, the watcher *suspects* it: an entry in the watcher's own
register, about (node, boot, version). The suspect refutes it with a higher version of its own.

*Dead* is derived, never replicated: a node is dead here when suspicions against its current version
have stood unrefuted for long enough, shorter with two witnesses than with one, and nothing was
heard from it directly in the meantime. Anything heard from it directly makes it alive again.

A higher version tells that the node runs, and not that the site reaches it: it may have come from
the other part of a split site, over a master that both parts reach. So a node that was suspected
again after it had refuted it, or is dead, is asked before it is believed, directly or through
others, and again every `ASK_AGAIN_MS` until it answers. A new start is believed at once.

A node whose own loop stalls doubts itself first (Lifeguard, arXiv 1707.00788): probes that were
pending while it was not looking count for nothing, and it waits longer for a while.

Timing for a process that died on a live machine: its connections break, which is a reason to probe
at once, dialling is refused, everybody says so, and it is dead after `SUSPICION_TWO_MS`: under 2 s.
A frozen one: probe 1.0 + direct 0.8 + indirect 0.7 + suspicion 1.5 s: about 4 s. A stall of 2 s is
refuted on waking up, before anybody has drawn a conclusion.
"""

from collections.abc import Collection
from dataclasses import dataclass

from mesh.hashing import ranked
from mesh.registers.watched import (
    PROBE_EVERY_MS,
    Member,
    PendingProbe,
    Verdict,
    is_away,
    place_of,
)

RANDOM_PROBE_EVERY_MS = 5_000
DIRECT_MS = 800
"""Time for a direct answer; a LAN answers in 3 ms, a busy small box in 200."""
INDIRECT_MS = 700
INDIRECT_ASKED_MAX = 3
SUSPICION_ONE_MS = 3_000
"""With one witness although there could be two. Stalls of up to 2 s cause no false death."""
SUSPICION_TWO_MS = 1_500
"""With two witnesses, or where there is only one that could be."""
GRACE_MS = 3_000
"""For a node that was just heard of: after a power cut all start, each in its own time."""
WATCHERS = 2
ASK_AGAIN_MS = 5_000
"""Between two questions to a node that may live and that nobody here reaches: twice as long after
each of the first `DOUBLED`, so that a site in two parts does not go on asking at that pace."""
DOUBLED = 3
STALL_MS = 400
"""A tick later than this says that our own loop stood still; ticks come every 100 to 200 ms."""
DOUBT_MAX = 7


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Ask `peer` whether it is alive, or, with a `target`, whether it reaches that one."""

    peer: str
    number: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """The verdict about a node changed; `why` says by what."""

    node: str
    verdict: Verdict
    why: str


Action = SendProbe | Changed


class Liveness:
    """The liveness of the other members of a site, as one node sees it."""

    def __init__(self, node: str, now_ms: int) -> None:
        self._node = node
        self._members: dict[str, Member] = {}
        self._next_number = 1
        self._ticked_ms = now_ms
        self._doubt = 0
        self._random_ms = now_ms
        self._round = 0
        self._place = place_of(node)
        self._ring = [node]
        self._linked: set[str] = set()
        self._witnesses: set[str] = set()
        self.generation = 0
        """Grows with each change of who is a member, and of any verdict."""
        self._turn()

    # ---- what is known ----

    def verdict(self, node: str) -> Verdict:
        """The verdict about a node; one never heard of is alive: unknown is not absent."""
        member = self._members.get(node)
        return member.verdict if member else Verdict.ALIVE

    def live(self) -> list[str]:
        """The members that are not dead, and this node, sorted."""
        return list(self._live)

    def dead(self) -> list[str]:
        """The members that are dead, sorted."""
        return [n for n, m in self._members.items() if m.verdict is Verdict.DEAD]

    def knows(self, node: str) -> bool:
        """Whether the node is watched over as a member."""
        return node in self._members

    def is_alive(self, node: str) -> bool:
        """Whether the node is a member that is neither suspect nor dead."""
        return node in self._members and self._members[node].verdict is Verdict.ALIVE

    def away(self, now_ms: int) -> list[str]:
        """The members whose silence is no sign: they said that they will be back, sorted."""
        return [n for n, m in self._members.items() if is_away(m, now_ms)]

    def suspected(self) -> list[str]:
        """The members that this node itself suspects, sorted: what its register must say."""
        return [n for n, m in self._members.items() if self._node in m.suspected_ms]

    @property
    def doubt(self) -> int:
        """0: sure of itself; up to 7: its own loop stood still lately."""
        return self._doubt

    # ---- events ----

    def members(self, nodes: Collection[str], now_ms: int) -> None:
        """Who is to be watched: all nodes of the site that are known, without this one."""
        wanted = set(nodes) - {self._node}
        if wanted == self._members.keys():
            return
        for node in sorted(wanted - self._members.keys()):
            self._members[node] = Member(
                place_of(node), heard_ms=now_ms, linked=node in self._linked, known_ms=now_ms
            )
        for node in sorted(self._members.keys() - wanted):
            del self._members[node]
        self._members = dict(sorted(self._members.items()))
        places = {node: member.place for node, member in self._members.items()}
        places[self._node] = self._place
        self._ring = sorted(places, key=lambda node: places[node])
        self._turn()

    def heard(self, node: str, now_ms: int) -> list[Action]:
        """Something arrived from the node itself."""
        member = self._members.get(node)
        if member is None:
            return []
        member.heard_ms = now_ms
        return self._reached(node, member, "heard from it")

    def refuted(self, node: str, boot: int) -> list[Action]:
        """A higher version of the node's own register arrived, of that start, by whatever way."""
        member = self._members.get(node)
        if member is None:
            return []
        own_ms = member.suspected_ms.get(self._node)
        member.suspected_ms.clear()
        if boot > member.boot:
            member.boot = boot
            return self._reached(node, member, "its register is of a new start")
        in_vain = member.refuted and own_ms is not None
        if in_vain or member.verdict is Verdict.DEAD:
            if own_ms is not None:
                member.suspected_ms[self._node] = own_ms
            self._ask_soon(member)
            return []
        member.refuted = member.refuted or own_ms is not None
        member.probe = None
        return self._alive(node, member, "its register has a higher version")

    def _ask_soon(self, member: Member) -> None:
        """It may live: if it is dead here or suspected, it is asked at the next tick."""
        if member.verdict is not Verdict.ALIVE and not member.asked_again:
            member.asked_again, member.asks = True, 0
            member.probed_ms = self._ticked_ms - ASK_AGAIN_MS

    def _is_to_be_asked(self, member: Member, now_ms: int) -> bool:
        """Whether a node is asked before what others say of it is believed: that it is suspect, or,
        where it is dead here or suspected, that it lives, and by those whose suspicion others go
        by, too."""
        since_ms = now_ms - member.probed_ms
        if member.probe is not None:
            return False
        if member.verdict is Verdict.ALIVE:
            return bool(member.suspected_ms) and not member.linked and since_ms >= PROBE_EVERY_MS
        is_mine = member.asked_again or self._node in member.suspected_ms
        return is_mine and since_ms >= ASK_AGAIN_MS << min(member.asks, DOUBLED)

    def goes_away(self, node: str, until_ms: int | None) -> None:
        """The node said that it is silent until then, and back afterwards; None: it is back, or
        should not be waited for any longer."""
        member = self._members.get(node)
        if member is not None:
            member.away_until_ms = until_ms

    def link(self, node: str, up: bool, now_ms: int) -> list[Action]:
        """A connection with the node was made or broke. A break is a reason to probe at once.

        A link may stand before the node is known as a member: its register comes over the link.
        """
        (self._linked.add if up else self._linked.discard)(node)
        member = self._members.get(node)
        if member is None:
            return []
        member.linked = up
        if up:
            for other in self._members.values():
                other.asks = 0  # whom nobody reached, this one may reach
            return self.heard(node, now_ms)
        return self._ask_others(node, member, now_ms)

    def unreachable(self, node: str, now_ms: int) -> list[Action]:
        """An attempt to dial the node failed."""
        member = self._members.get(node)
        if member is None or member.linked or member.verdict is not Verdict.ALIVE:
            return []
        if self._too_new(member, now_ms):
            return []
        return [] if member.probe else self._ask_others(node, member, now_ms)

    def answered(
        self, peer: str, number: int, target: str, alive: bool, now_ms: int
    ) -> list[Action]:
        """A probe's answer. That `peer` itself lives was told by `heard` already."""
        if not target:
            self._doubt = max(0, self._doubt - 1)
            return []
        member = self._members.get(target)
        if member is None or member.probe is None or member.probe.number != number:
            return []
        if peer not in member.probe.asked:  # nobody else may speak for the target
            return []
        if alive:
            member.heard_ms, member.through = now_ms, peer
            return self._reached(target, member, f"{peer} reaches it")
        member.probe.asked.discard(peer)
        return (
            [] if member.probe.asked else self._suspect(target, member, now_ms, "nobody reaches it")
        )

    def testimony(self, witness: str, suspects: Collection[str], now_ms: int) -> None:
        """Whom another node's register suspects, in their current versions."""
        if not suspects and witness not in self._witnesses:
            return
        (self._witnesses.add if suspects else self._witnesses.discard)(witness)
        for node, member in self._members.items():
            if node in suspects and node != witness:
                member.suspected_ms.setdefault(witness, now_ms)
            elif member.suspected_ms.pop(witness, None) is not None and not member.suspected_ms:
                self._ask_soon(member)  # whoever suspected it may have reached it

    def tick(self, now_ms: int) -> list[Action]:
        """To be called every 100 to 200 ms."""
        late = now_ms - self._ticked_ms > STALL_MS
        self._ticked_ms = now_ms
        if late:
            return self._doubt_myself(now_ms)
        actions: list[Action] = []
        for node, member in self._members.items():
            if member.is_well:
                continue  # nearly all, nearly always
            if member.probe is not None:
                actions += self._overdue(node, member, member.probe, now_ms)
            if member.suspected_ms:
                actions += self._conclude(node, member, now_ms)
            if self._is_to_be_asked(member, now_ms):
                member.asks += 1
                actions += self._probe(node, member, now_ms)
        return actions + self._probe_watched(now_ms)

    # ---- inside ----

    def _doubt_myself(self, now_ms: int) -> list[Action]:
        self._doubt = min(DOUBT_MAX, self._doubt + 1)
        for member in self._members.values():
            if member.probe is not None:
                member.probe = None
                member.probed_ms = now_ms
            for witness in member.suspected_ms:
                member.suspected_ms[witness] = now_ms
        return []

    def _patience(self, base_ms: int) -> int:
        return base_ms * (2 + self._doubt) // 2

    def _probe_watched(self, now_ms: int) -> list[Action]:
        targets = self._watched
        if now_ms - self._random_ms >= RANDOM_PROBE_EVERY_MS:
            self._random_ms = now_ms
            self._round += 1
            targets = [*targets, *ranked(f"{self._node} {self._round}", self._alive_members)[:1]]
        actions: list[Action] = []
        for node in targets:
            member = self._members[node]
            if member.probe is not None or now_ms - member.probed_ms < PROBE_EVERY_MS:
                continue
            if not self._too_new(member, now_ms):
                actions += self._probe(node, member, now_ms)
        return actions

    def _probe(self, node: str, member: Member, now_ms: int) -> list[Action]:
        member.probed_ms = now_ms
        if not member.linked:
            return self._ask_others(node, member, now_ms)
        member.probe = PendingProbe(self._number(), now_ms)
        return [SendProbe(node, member.probe.number)]

    def _too_new(self, member: Member, now_ms: int) -> bool:
        """Whether nobody could have linked with the node yet."""
        return not member.linked and now_ms - member.known_ms < GRACE_MS

    def _turn(self) -> None:
        """A verdict or the members changed: what follows from them alone is found anew."""
        self.generation += 1
        others = [n for n, m in self._members.items() if m.verdict is not Verdict.DEAD]
        self._live = sorted([*others, self._node])
        self._alive_members = [n for n in self._members if self.is_alive(n)]
        self._watched = self._predecessors()

    def _predecessors(self) -> list[str]:
        """The two live ones on the ring: for them this node is one of two successors."""
        ring = [n for n in self._ring if n == self._node or self.is_alive(n)]
        place = ring.index(self._node)
        before = [ring[(place - step) % len(ring)] for step in range(1, WATCHERS + 1)]
        return [n for n in dict.fromkeys(before) if n != self._node]

    def _overdue(self, node: str, member: Member, probe: PendingProbe, now_ms: int) -> list[Action]:
        if probe.indirect_ms is None:
            if now_ms - probe.sent_ms < self._patience(DIRECT_MS):
                return []
            return self._ask_others(node, member, now_ms)
        if now_ms - probe.indirect_ms < self._patience(INDIRECT_MS):
            return []
        return self._suspect(node, member, now_ms, "no answer, direct or through others")

    def _ask_others(self, node: str, member: Member, now_ms: int) -> list[Action]:
        helpers = [n for n in self._alive_members if n != node and self._members[n].linked]
        drawn = ranked(f"{node} {self._next_number}", helpers)
        asked = sorted(drawn, key=lambda helper: helper != member.through)[:INDIRECT_ASKED_MAX]
        if not asked:
            return self._suspect(node, member, now_ms, "no answer, and nobody else to ask")
        member.probe = PendingProbe(self._number(), now_ms, indirect_ms=now_ms, asked=set(asked))
        return [SendProbe(helper, member.probe.number, node) for helper in asked]

    def _suspect(self, node: str, member: Member, now_ms: int, why: str) -> list[Action]:
        member.probe = None
        if member.verdict is not Verdict.ALIVE or is_away(member, now_ms):
            return []
        member.suspected_ms[self._node] = now_ms
        member.verdict = Verdict.SUSPECT
        self._turn()
        return [Changed(node, Verdict.SUSPECT, why)]

    def _conclude(self, node: str, member: Member, now_ms: int) -> list[Action]:
        witnesses = {w: t for w, t in member.suspected_ms.items() if self._may_testify(w)}
        if member.verdict is Verdict.DEAD or not witnesses or is_away(member, now_ms):
            return []
        alone = len(witnesses) == 1 and bool(self._alive_members)
        limit = SUSPICION_ONE_MS if alone else SUSPICION_TWO_MS
        since = sorted(witnesses.values())[0 if alone or len(witnesses) == 1 else 1]
        fresh = member.linked and now_ms - member.heard_ms < self._patience(DIRECT_MS)
        if fresh or now_ms - max(since, member.heard_ms) < self._patience(limit):
            return []
        member.verdict = Verdict.DEAD
        self._turn()
        names = ", ".join(sorted(witnesses))
        return [Changed(node, Verdict.DEAD, f"suspected by {names}, not refuted")]

    def _may_testify(self, witness: str) -> bool:
        return witness == self._node or self.is_alive(witness)

    def _reached(self, node: str, member: Member, why: str) -> list[Action]:
        member.probe = None
        member.refuted = member.asked_again = False
        member.asks = 0
        member.suspected_ms.pop(self._node, None)
        return self._alive(node, member, why)

    def _alive(self, node: str, member: Member, why: str) -> list[Action]:
        if member.verdict is Verdict.ALIVE:
            return []
        member.verdict = Verdict.ALIVE
        self._turn()
        return [Changed(node, Verdict.ALIVE, why)]

    def _number(self) -> int:
        self._next_number += 1
        return self._next_number - 1
