"""The leases of a node: it asks for those of pipelines that are placed on it, holds them while a
quorum grants them, and grants them to others.

The rules stand in mesh/site/leases.py, what this node grants in mesh/core/grants.py. What comes in
counts only from the linked node itself, in its present start as its register says it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh.core import lease_members
from mesh.core.grants import Grants, Owner
from mesh.core.lease_answers import answer, is_start, planned
from mesh.core.lease_candidates import Unable, chosen, has_holder, rank
from mesh.core.lease_wait import without_quorum
from mesh.core.messages import NodeOutput, Renew, Run
from mesh.core.overlaps import kept
from mesh.core.rosters import Heard, Rosters, is_bounded
from mesh.events import Send, WriteJournal
from mesh.exchange.frames import encode
from mesh.site.leases import (
    ASK_AGAIN_MS,
    FREE_MS,
    LEASE_MS,
    MARGIN_MS,
    RENEW_MS,
    Earlier,
    Member,
    asked_at,
    is_quorum,
    needs_lease,
)
from protos.documents_pb2 import Boot, LeaseState
from protos.peer_pb2 import Frame, LeaseAsk, LeaseGrant

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

PATIENCE_MS = FREE_MS + 3 * ASK_AGAIN_MS
"""Without a lease although enough nodes are linked, before it is an alarm: others may have started
a moment ago, or have granted it to one that died."""
REASON_CHARACTERS_MAX = 200
"""Of why a node does not grant, as it says."""


@dataclass
class Lease:
    """One lease that this node wants, holds, or has yet to give back.

    `asked`: number to when, of the asks that may still count. `acknowledged`: by node, when that
    was asked which it granted last. `process` is what is known of the pipeline here: none, told
    (the runtime was told to run it, and has not said so yet), seen (it said that it has it).
    `acts_ms`: until when a process may act by what was ever granted. `taken`: another node had it
    when this one asked last; `rank`: how many come before this one, and `again_ms`, until when it
    lets them try.
    """

    since_ms: int
    asked_ms: int | None = None
    until_ms: int = 0
    asked: dict[int, int] = field(default_factory=dict)
    acknowledged: dict[Member, int] = field(default_factory=dict)
    earlier: dict[Member, tuple[Earlier, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    wanted: bool = True
    told: bool = False
    process: str = "none"
    acts_ms: int = 0
    taken: bool = False
    rank: int = 0
    again_ms: int = 0

    def holds(self, now_ms: int) -> bool:
        """Whether the pipeline may run."""
        return now_ms < self.until_ms

    def has_stopped(self, now_ms: int) -> bool:
        """Whether nothing acts here by this lease: only then may others have it."""
        seen_to_stop = self.process == "none" and not self.told
        return seen_to_stop or now_ms >= self.acts_ms + MARGIN_MS


class Leases:
    """What this node holds (`held`), and `pending`: the pipelines that wait here, and why."""

    def __init__(self, name: str, boot: Boot, rosters: Rosters, now_ms: int) -> None:
        self._me = Owner(name, boot.counter, boot.nonce)
        self._boot = boot
        self.rosters = rosters
        self.grants = Grants(now_ms)
        self.pending: dict[str, str] = {}
        self.held: dict[str, Lease] = {}
        self.unable = Unable()
        self._leases: dict[str, Lease] = {}
        self._heard = Heard()
        self._number = 0
        self._looked_ms = now_ms

    # ---- what is known ----

    def barred(self, core: "NodeCore") -> str:
        """Why this node neither asks nor grants for as long as that is so; "" if it may."""
        name = self._me.node
        if core.facts.moved:
            return f"its data folder comes from another machine: {core.facts.moved}"
        if name in core.conflicts.clones:
            return "two machines hold its disk: see the alarm Clone"
        if core.conflicts.is_old_disk:
            return "its disk is an old copy: see the alarm OldDisk"
        if self.rosters.too_many:
            return "the roster changed too often while other nodes could not hear of it"
        if lease_members.own(core) not in self.rosters.nodes:
            return "it is not in the roster of its site"
        return ""

    def lease(self, workload: str) -> Lease | None:
        """The lease that this node wants or holds of a pipeline."""
        return self._leases.get(workload)

    def allowed(self, core: "NodeCore") -> set[str]:
        """The pipelines that may run here now: those whose lease is held, and of those that need
        none what is placed here, or kept for a moment."""
        return (set(core.work.pipelines) - planned(core)) | self.held.keys() | kept(core)

    def states(self) -> list[LeaseState]:
        """What the node's register says: what it holds, and who acknowledges that."""
        states = []
        for name in sorted(self.held):
            who = sorted({one.node for one in self.held[name].acknowledged})
            states.append(LeaseState(workload=name, acknowledged=who, acknowledgements=len(who)))
        return states

    # ---- what this node wants ----

    def want(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Asks for what should run here from now on, and gives back what no longer should."""
        plans = [one for one in core.branch.plan.pipelines if needs_lease(one)]
        mine = {plan.name: plan for plan in plans if chosen(core, plan) == self._me.node}
        for name, plan in mine.items():
            self._leases.setdefault(name, Lease(now_ms)).rank = rank(core, plan)
        for name, lease in self._leases.items():
            lease.wanted = name in mine
        return self.tick(core, now_ms)

    def told(self, outputs: Sequence[NodeOutput]) -> Sequence[NodeOutput]:
        """Looks at what the runtime is about to be told, and passes it on."""
        for run in outputs:
            if isinstance(run, Run):
                names = {pipeline.name for pipeline in run.pipelines}
                for name, lease in self._leases.items():
                    if name in names and not (lease.told and lease.process == "seen"):
                        lease.process = "told"
                    lease.told = name in names
        return outputs

    def reported(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """The runtime said what it has: what stopped there is given back."""
        if core.runtime.gone:
            for lease in self._leases.values():  # the next runtime may know nothing of its process
                lease.process = "told" if lease.process == "seen" else lease.process
            return []
        present = {status.state.workload for status in core.runtime.state.pipelines}
        for name, lease in self._leases.items():
            if name in present and lease.process == "told":
                lease.process = "seen"
            elif name not in present and lease.process == "seen":
                lease.process = "told" if lease.told else "none"
        return self._give_back(core, now_ms)

    def tick(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Asks for what is due, and looks at what is over."""
        done: list[NodeOutput] = []
        if now_ms - self._looked_ms >= ASK_AGAIN_MS:
            self._looked_ms = now_ms
            self.grants.forget(frozenset(planned(core)), now_ms)
            done += self.rosters.look(lease_members.applied(core), now_ms)
        self.unable.look(core, now_ms)
        if not self._leases:
            self.pending = dict(self.unable.why)
            return done
        barred = self.barred(core)
        for name in sorted(self._leases):
            lease = self._leases[name]
            if lease.until_ms and (barred or not lease.holds(now_ms)):
                done += self._lost(core, name, lease, barred or "no quorum acknowledges", now_ms)
            if not barred and lease.wanted and self._is_due(lease, now_ms):
                done += self._yield(core, name, lease, now_ms)
                done += self._ask(core, name, lease, now_ms) if now_ms >= lease.again_ms else []
        self.pending = self._pending(core, barred, now_ms)
        return [*done, *self._give_back(core, now_ms)]

    def linked(self) -> None:
        """There is another link: who is behind it is asked at once."""
        for lease in self._leases.values():
            if not lease.until_ms:
                lease.asked_ms = None

    def _is_due(self, lease: Lease, now_ms: int) -> bool:
        if now_ms < max(self.grants.from_ms, lease.again_ms):
            return False
        every_ms = RENEW_MS if lease.until_ms else ASK_AGAIN_MS
        return lease.asked_ms is None or now_ms - lease.asked_ms >= every_ms

    def _yield(self, core: "NodeCore", name: str, lease: Lease, now_ms: int) -> list[NodeOutput]:
        """Gives back what was granted where another node has the rest, and lets those try first
        that come before this one: else two that are not linked would keep half each for ever. Two
        rounds for each, so that a whole ask of theirs falls within."""
        if not lease.taken or lease.until_ms or not lease.has_stopped(now_ms):
            return []
        lease.taken, lease.asked = False, {}  # answers to what was asked before count no more
        lease.acknowledged, lease.earlier = {}, {}
        lease.again_ms = now_ms + 2 * lease.rank * ASK_AGAIN_MS
        return self._free(core, name)

    def _ask(self, core: "NodeCore", name: str, lease: Lease, now_ms: int) -> list[NodeOutput]:
        self._number += 1
        lease.asked_ms = now_ms
        asked = {number: at for number, at in lease.asked.items() if now_ms - at < LEASE_MS}
        lease.asked = {**asked, self._number: now_ms}
        _drop_old(lease, now_ms)
        if self.grants.ask(name, self._me, self._number, now_ms) == "":
            lease.acknowledged[lease_members.own(core)] = now_ms
        lease.taken = self.grants.is_taken(name, self._me, now_ms)
        ask = LeaseAsk(
            workload=name,
            boot=self._boot,
            number=self._number,
            state=core.in_force.counter,
            trust_generation=core.in_force.generation,
        )
        return [*self._send(core, ask), *self._count(core, name, lease, now_ms)]

    def _send(self, core: "NodeCore", ask: LeaseAsk) -> list[NodeOutput]:
        frame, linked = encode(lease_ask=ask), self._counting() & lease_members.linked(core)
        return [Send(one.node, frame, f"lease {ask.workload}") for one in sorted(linked)]

    def _counting(self) -> set[Member]:
        """The nodes whose grants count."""
        return set(self.rosters.nodes).union(*(one.nodes for one in self.rosters.earlier))

    # ---- what is granted to this node ----

    def granted(
        self, core: "NodeCore", grant: LeaseGrant, peer: str, now_ms: int
    ) -> list[NodeOutput]:
        """A node answers an ask."""
        lease = self._leases.get(grant.workload)
        if lease is None or grant.boot != self._boot or grant.number not in lease.asked:
            return []
        node = lease_members.at(core, peer)
        if not self._counts(core, node) or not is_start(core, peer, grant.granter):
            return []
        if not grant.granted:
            lease.refused[peer] = grant.reason[:REASON_CHARACTERS_MAX]
            lease.taken = lease.taken or grant.taken
            return []
        if not is_bounded(grant.earlier):
            return []
        before = lease.acknowledged.get(node, 0)
        lease.acknowledged[node] = max(before, lease.asked[grant.number])
        lease.earlier[node] = self._heard.read(grant.earlier, self.rosters.nodes)
        lease.refused.pop(peer, None)
        return self._count(core, grant.workload, lease, now_ms)

    def _counts(self, core: "NodeCore", node: Member) -> bool:
        return node in self._counting() and node.node not in core.conflicts.clones

    def _count(self, core: "NodeCore", name: str, lease: Lease, now_ms: int) -> list[NodeOutput]:
        """Holds the lease for as long as the newest quorum grants it."""
        if not lease.wanted or self.barred(core) or not self._may_grow(name, lease, now_ms):
            return []
        base = self._base(core, name, lease)
        until_ms = 0 if base is None else base + LEASE_MS
        if until_ms <= max(lease.until_ms, now_ms):
            return []
        is_new, lease.until_ms = name not in self.held, until_ms
        lease.acts_ms, self.held[name] = max(lease.acts_ms, until_ms), lease
        who = ", ".join(sorted({one.node for one in lease.acknowledged}))
        done: list[NodeOutput] = [Renew(((name, until_ms),), f"acknowledged by {who}")]
        if is_new:
            core.stale = f"the lease of {name} is held"
            cause = f"acknowledged by {who}"
            done.append(WriteJournal("record", "lease.held", name, cause))
        return done

    def _may_grow(self, name: str, lease: Lease, now_ms: int) -> bool:
        """Whether a quorum of each roster that this node knows has granted what was asked for later
        than what the lease rests on. Cheap: of a round of grants most change nothing."""
        from_ms = max(lease.until_ms, now_ms) - LEASE_MS
        newer = {node for node, at in lease.acknowledged.items() if at > from_ms}
        return all(is_quorum(name, newer, roster) for roster in self.rosters.counting())

    def _base(self, core: "NodeCore", name: str, lease: Lease) -> int | None:
        """When that was asked on which the lease rests. Who knows of an earlier roster counts only
        where a quorum of that one acknowledges too, unless this node has seen that it is over."""
        clones = core.conflicts.clones
        given = {one: at for one, at in lease.acknowledged.items() if one.node not in clones}
        told = {node: lease.earlier.get(node, ()) for node in given}
        kinds = {each: self._decided(name, given, each) for each in set(told.values())}
        able = {node: at for node, at in given.items() if kinds[told[node]] is not None}
        counting = {told[node] for node in able}
        earlier = {one for each in counting for one in kinds[each] or ()}
        rosters = {*self.rosters.counting(), *(one.nodes for one in earlier)}
        return asked_at(name, able, rosters)

    def _decided(
        self, name: str, given: Collection[Member], told: tuple[Earlier, ...]
    ) -> list[Earlier] | None:
        """Those of the earlier rosters that count; None where one of them does not acknowledge."""
        counting = [one for one in told if not self.rosters.is_over(one)]
        return counting if all(is_quorum(name, given, one.nodes) for one in counting) else None

    def _lost(
        self, core: "NodeCore", name: str, lease: Lease, why: str, now_ms: int
    ) -> list[NodeOutput]:
        self.held.pop(name, None)
        lease.until_ms, lease.since_ms = 0, now_ms
        lease.acknowledged, lease.earlier = {}, {}
        core.stale = f"the lease of {name} is lost"
        return [WriteJournal("record", "lease.lost", name, why)]

    def _give_back(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Frees what is not wanted any more and has really stopped here."""
        done: list[NodeOutput] = []
        for name, lease in list(self._leases.items()):
            if lease.wanted:
                continue
            was_held = self.held.pop(name, None) is not None
            core.stale = core.stale or (f"the lease of {name} is given back" if was_held else "")
            if lease.has_stopped(now_ms):
                del self._leases[name]
                done += self._free(core, name)
                why = "it is not placed here any more"
                entry = WriteJournal("record", "lease.released", name, why)
                done += [entry] if lease.until_ms else []
        return done

    def _free(self, core: "NodeCore", name: str) -> list[NodeOutput]:
        """Tells all who may have granted it that they may grant it to others."""
        self._number += 1
        self.grants.release(name, self._me, self._number)
        release = LeaseAsk(workload=name, boot=self._boot, number=self._number, release=True)
        return self._send(core, release)

    # ---- what comes in ----

    def frame(self, core: "NodeCore", frame: Frame, peer: str, now_ms: int) -> list[NodeOutput]:
        """An ask of a neighbour, or its answer."""
        if frame.WhichOneof("kind") == "lease_grant":
            return self.granted(core, frame.lease_grant, peer, now_ms)
        return answer(core, frame.lease_ask, peer, now_ms)

    # ---- for people ----

    def _pending(self, core: "NodeCore", barred: str, now_ms: int) -> dict[str, str]:
        """The pipelines that are placed here, or were until this node gave up, and may not run,
        and what to do about it."""
        found = dict(self.unable.why)
        for name, lease in self._leases.items():
            if not lease.wanted or lease.until_ms or has_holder(core, name):
                continue
            if barred:
                found[name] = f"it is placed on {self._me.node}, which may not run it: {barred}"
                continue
            since_ms = max(lease.since_ms, self.grants.from_ms)
            able = lease_members.able(core)
            why = without_quorum(name, lease.acknowledged, lease.refused, self.rosters, able)
            if now_ms >= max(since_ms, self.unable.tries_ms.get(name, 0)) + PATIENCE_MS:
                self.unable.give_up(core, name, why, now_ms)
            enough = all(is_quorum(name, able, roster) for roster in self.rosters.counting())
            if now_ms >= since_ms + (PATIENCE_MS if enough else 0):
                found[name] = why
        return found


def _drop_old(lease: Lease, now_ms: int) -> None:
    """Forgets grants of what was asked too long ago to count."""
    for node in [n for n, at in lease.acknowledged.items() if now_ms - at >= LEASE_MS]:
        del lease.acknowledged[node]
        lease.earlier.pop(node, None)
