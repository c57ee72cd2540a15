"""A node's core: what it hears, what the site decides of it, and what this node does.

Every event goes to the part that it concerns. Then, if anything changed that a decision rests on,
the node decides anew: placement over the live nodes, its own share, its own register. Each
instruction carries its cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.addresses import as_reached
from mesh.core import view
from mesh.core.alarms import Alarms
from mesh.core.artifacts import Artifacts, Output
from mesh.core.changes import LocalChanges
from mesh.core.conditions import conditions
from mesh.core.conflicts import Conflicts
from mesh.core.cordon import Cordon
from mesh.core.in_force import InForce
from mesh.core.loads import Loads
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactDamaged,
    ArtifactFailed,
    ArtifactFinished,
    ChangeMade,
    ChunksFailed,
    ChunkStored,
    CordonAsked,
    Leaving,
    NeighbourSilent,
    NodeEvent,
    Run,
    RuntimeReported,
    Trouble,
    WanPath,
)
from mesh.core.outage import OutageWatch
from mesh.core.quiet import Quiet
from mesh.core.refusals import Refusals
from mesh.core.runtime_view import RuntimeView
from mesh.core.share import Share
from mesh.events import Drop, Event, Notice, Received, Tick, WriteJournal
from mesh.exchange.membership import Membership
from mesh.hashing import first
from mesh.heads.revocations import Revoked
from mesh.peer import Peer
from mesh.site.local import LocalWork, ReplicaKey
from mesh.site.placement import Placement
from protos.documents_pb2 import Capacity, ServicePlan, SiteBranch, StableRegister

NodeOutput = Output | Run
DECIDE_GAP_MS = 50
"""Between two decisions: what comes in a burst is decided about together, a tick later at most."""


@dataclass(frozen=True)
class NodeFacts:
    """What this node says of itself that does not change while it runs."""

    certificate: bytes
    peer_address: str
    labels: dict[str, str]
    capacity: Capacity
    sources: tuple[str, ...]
    masters: tuple[str, ...]


class NodeCore:
    """The decisions of one node. `handle` takes events; `plan`, `placement` are for reading."""

    def __init__(
        self,
        peer: Peer,
        membership: Membership,
        artifacts: Artifacts,
        facts: NodeFacts,
        now_ms: int,
        ran: bytes = b"",
        rollouts: bytes = b"",
        cordon: bytes = b"",
        changes: bytes = b"",
    ) -> None:
        self.peer = peer
        self.membership = membership
        self.artifacts = artifacts
        self.facts = facts
        self.name = peer.config.name
        self.in_force = InForce(peer.config.site)
        self.runtime = RuntimeView()
        self.alarms = Alarms()
        self.conflicts = Conflicts(self.alarms)
        self.cordon = Cordon(self.name, self.in_force, cordon)
        site, trust = peer.config.site, peer.heads.trust
        self.changes = LocalChanges(site, trust, self.in_force, changes)
        self.share = Share(
            self.name,
            membership,
            self.in_force,
            self.runtime,
            artifacts,
            self.conflicts,
            self.cordon,
            ran,
            rollouts,
            now_ms,
        )
        self.outage = OutageWatch(now_ms)
        self.wan = False
        self.synced_ms: int | None = None
        self.leaving = False
        self.wall_ms = 0
        self._inference_address = ""
        self._refusals = Refusals()
        self._loads = Loads(self.name, peer.config.boot, membership, now_ms)
        self._swarm_rests_on: tuple[int, frozenset[str], bool] = (0, frozenset(), False)
        self._swarm_members: tuple[list[str], list[str]] = ([], [])
        self._quiet = Quiet(now_ms)
        self._decided_ms = now_ms - DECIDE_GAP_MS
        self._stale = "start"
        self._shut_out_by = (peer.heads.trust.generation, self.revoked.tls_keys)
        self._use_branch("disk")
        self.changes.authority_spoke()
        self._shut_out(now_ms)  # who was revoked may be remembered from before

    # ---- what is known ----

    @property
    def branch(self) -> SiteBranch:
        """The site's branch that is in force: roster, plan, labels."""
        return self.in_force.branch

    @property
    def revoked(self) -> Revoked:
        """Who is revoked."""
        return self.in_force.revoked

    @property
    def placement(self) -> Placement:
        """Where the site's workloads run, as this node sees it."""
        return self.share.placement

    @property
    def work(self) -> LocalWork:
        """What this node runs, keeps ready and still needs."""
        return self.share.work

    @property
    def told_services(self) -> dict[ReplicaKey, ServicePlan]:
        """What the runtime was told last, by replica."""
        return self.share.told_services

    # ---- the boundary ----

    def handle(self, event: Event | NodeEvent, now_ms: int) -> list[NodeOutput]:
        """Takes one event; returns what is to be done, in order."""
        if isinstance(event, Received | Tick):  # nearly all
            outputs = self._look_at(self.peer.handle(event, now_ms), now_ms)
        else:
            outputs = self._look_at(self._dispatch(event, now_ms), now_ms)
        if isinstance(event, Tick):
            outputs += self._on_tick(event, now_ms)
        if self._stale and now_ms - self._decided_ms >= DECIDE_GAP_MS:
            outputs += self._decide(now_ms)
        return outputs

    def _dispatch(self, event: Event | NodeEvent, now_ms: int) -> Sequence[NodeOutput]:
        match event:
            case RuntimeReported():
                return self._runtime_reported(event)
            case WanPath():
                return self._wan_path(event, now_ms)
            case Trouble() | CordonAsked():
                return self._told_by_hand(event)
            case Leaving() | NeighbourSilent():
                return self._away(event, now_ms)
            case ChangeMade():
                self._stale = "an operator changed something here"
                return self.changes.heard([event.envelope], self.name, self.unix_ms())
            case ArtifactBegun() | ArtifactFailed() | ArtifactFinished() | ArtifactDamaged():
                return self._artifact(event, now_ms)
            case ChunkStored():
                return self.artifacts.stored(event, now_ms)
            case ChunksFailed():
                return self.artifacts.chunks_failed(event, now_ms)
            case _:
                return self.peer.handle(event, now_ms)

    def _artifact(
        self,
        event: ArtifactBegun | ArtifactFailed | ArtifactFinished | ArtifactDamaged,
        now_ms: int,
    ) -> Sequence[NodeOutput]:
        match event:
            case ArtifactBegun():
                return self.artifacts.begun(event, now_ms)
            case ArtifactFailed():
                self._stale = "the disk refused an artifact"
                return self.artifacts.disk_refused(event, now_ms)
            case ArtifactFinished():
                self._stale = "an artifact is whole"
                return self.artifacts.finished(event)
            case _:
                self._stale = "an artifact is damaged"
                self.share.not_told(event.untold)
                return self.artifacts.damaged(event, now_ms)

    # ---- notices of the peer ----

    def _look_at(self, outputs: Sequence[NodeOutput], now_ms: int) -> list[NodeOutput]:
        """Passes instructions on and acts on notices, which end here."""
        result: list[NodeOutput] = []
        for output in outputs:
            if isinstance(output, Notice):
                result += self._look_at(self._notice(output, now_ms), now_ms)
            else:
                result.append(output)
        return result

    def _notice(self, notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
        match notice.what:
            case "state" | "trust" | "too-new":
                return self._authority_spoke(notice, now_ms)
            case "verdict":
                return self._verdict(notice, now_ms)
            case "register":
                return self._register_changed(notice, now_ms)
            case "link":
                return self._link_changed(notice, now_ms)
            case "swarm":
                return self.artifacts.frame(notice.data, notice.subject, now_ms)
            case "blob":
                return self.artifacts.blob(notice.data, notice.subject, now_ms)
            case "synced":
                self.synced_ms = now_ms
                return []
            case "clone" | "boot" | "equivocation" | "fork":
                self._stale = f"{notice.what}: {notice.subject}"
                return self.conflicts.noticed(notice, self.wall_ms)
            case "refused":
                return self._refusals.refused(notice.subject, notice.cause, now_ms)
            case _:
                return []

    def _authority_spoke(self, notice: Notice, now_ms: int) -> list[NodeOutput]:
        """A state was applied, trust changed, or there is a state for newer readers."""
        site = self.peer.config.site
        entries: list[NodeOutput] = []
        if notice.what == "state":
            self._use_branch(notice.cause)
            fields = {"counter": notice.subject}
            entries.append(WriteJournal("record", "plan.applied", site, notice.cause, fields))
        self._stale = self._stale or f"{notice.what} {notice.subject}, {notice.cause}"
        return [*entries, *self._shut_out(now_ms), *self._changes_anew()]

    def _changes_anew(self) -> list[NodeOutput]:
        """The local changes that count under what the authority says now."""
        done: list[NodeOutput] = [*self.changes.authority_spoke()]
        for record in self.membership.registers.records():
            if record.body.local_changes:
                heard = record.body.local_changes, record.body.node
                done += self.changes.heard(*heard, self.unix_ms())
        return done

    def _shut_out(self, now_ms: int) -> list[NodeOutput]:
        """Closes the links of revoked peers and forgets what they, and those whose certificates
        hold no more, said of themselves."""
        by = (self.peer.heads.trust.generation, self.revoked.tls_keys)
        if by != self._shut_out_by:
            self._shut_out_by = by
            records = self.membership.registers.records()
            gone = [r.body.node for r in records if self.revoked.is_revoked(r.keys.tls_key)]
            gone += self.peer.recheck_registers()
            self.membership.forget([node for node in gone if node != self.name], now_ms)
        return [
            Drop(peer, f"revoked: {reason}")
            for peer, link in sorted(self.peer.links.items())
            if (reason := self.revoked.is_revoked(link.contact.tls_key)) is not None
        ]

    def _use_branch(self, cause: str) -> None:
        applied = self.peer.heads.state.applied
        if self.in_force.use(self.peer.heads.contents(), applied.counter if applied else 0):
            # Those of nodes that were shut out stay: what they journalled before lies with their
            # neighbours, and is handed over as long as somebody can check it.
            roster = {e.node: e.signing_key for e in self.branch.roster}
            self.peer.roster_keys = self.peer.roster_keys | roster
        self._stale = f"the plan, {cause}"

    def _verdict(self, notice: Notice, now_ms: int) -> list[NodeOutput]:
        self._stale = f"{notice.subject} is {notice.data}"
        if notice.data == "dead":
            self.share.died(notice.subject)
        event = {"dead": "node.dead", "suspect": "node.suspected", "alive": "node.alive"}
        entry = WriteJournal("record", event[notice.data], notice.subject, notice.cause)
        return [entry, *self._tell_swarm(now_ms)]

    def _register_changed(self, notice: Notice, now_ms: int) -> list[NodeOutput]:
        if notice.subject == self.name:
            return self._tell_swarm(now_ms)
        self._stale = f"the register of {notice.subject}"
        changes = notice.data.body.local_changes
        made = self.changes.heard(changes, notice.subject, self.unix_ms()) if changes else []
        return [*made, *self.conflicts.heard(notice.data), *self._tell_swarm(now_ms)]

    def _tell_swarm(self, now_ms: int) -> list[NodeOutput]:
        """Who is there to fetch from, and from outside, where that changed."""
        liveness, registers = self.membership.liveness, self.membership.registers
        rests_on = (liveness.generation, registers.with_wan, self.wan)
        if rests_on == self._swarm_rests_on:
            return []
        self._swarm_rests_on, members = rests_on, liveness.live()
        known = (members, [node for node in members if self._has_wan(node)])
        if known == self._swarm_members:
            return []
        self._swarm_members = known
        return [*self.artifacts.carry(self.artifacts.swarm.members(*known, now_ms))]

    def _has_wan(self, node: str) -> bool:
        return self.wan if node == self.name else node in self.membership.registers.with_wan

    def _link_changed(self, notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
        swarm, peer = self.artifacts.swarm, notice.subject
        self._stale = f"the link with {peer} is {notice.cause}"
        if peer not in self.peer.neighbours() and notice.cause == "up":
            return self.artifacts.ask([peer])  # a master
        if notice.cause == "up":
            self.share.met(peer)
            met = self.artifacts.carry(swarm.peer_up(peer, now_ms))
            return [*met, *self.artifacts.ask([peer]), *self._loads.tell(peer)]
        return self.artifacts.carry(swarm.peer_down(peer, now_ms))

    # ---- events of the edge ----

    def _runtime_reported(self, event: RuntimeReported) -> list[NodeOutput]:
        changes = self.runtime.update(event.state)
        self._stale = "the runtime's state"
        if event.state is not None:
            self._inference_address = event.state.peer_inference_address
        else:
            self.share.runtime_gone()
        return [
            WriteJournal("record", change.event, change.subject, change.reason, change.fields)
            for change in changes
        ]

    def _wan_path(self, event: WanPath, now_ms: int) -> Sequence[NodeOutput]:
        if event.up == self.wan:
            return []
        self.wan = event.up
        self._stale = f"the WAN path is {'up' if event.up else 'down'}: {event.reason}"
        sources = self.facts.masters if event.up else ()
        return self.artifacts.carry(self.artifacts.swarm.wan_sources(sources, now_ms))

    def _told_by_hand(self, event: Trouble | CordonAsked) -> list[NodeOutput]:
        """What the edge noticed, or an operator said here."""
        if isinstance(event, CordonAsked):
            self.cordon.asked(event)
            self._stale = "an operator asked this node"
            return []
        if not event.message:
            return list(self.alarms.clear(event.kind, event.subject, "it is over"))
        return list(
            self.alarms.set(event.kind, event.subject, event.message, event.severity, self.wall_ms)
        )

    def _away(self, event: Leaving | NeighbourSilent, now_ms: int) -> Sequence[NodeOutput]:
        """This agent ends, as planned, or a neighbour's did and is not to be waited for."""
        if isinstance(event, NeighbourSilent):
            self.membership.liveness.goes_away(event.node, None)
            cause = "its agent is away, and its runtime does not answer"
            return [WriteJournal("record", "node.silent", event.node, cause)]
        self.leaving = True
        return self._publish(now_ms)

    # ---- time ----

    def _on_tick(self, tick: Tick, now_ms: int) -> list[NodeOutput]:
        self.wall_ms = tick.wall_ms
        outputs = self._look_at(self.artifacts.tick(now_ms), now_ms)
        site, gateway = self.peer.config.site, self.peer.gateway()
        outputs += self.outage.watch(gateway, site, self.alarms, self.wall_ms, now_ms)
        outputs += self._loads.tick(self.runtime, self.peer.neighbours(), now_ms)
        outputs += self._refusals.tick(now_ms)
        outputs += self._end_changes()
        outputs += self.share.count(now_ms)
        if self.share.has_settled(now_ms):
            self._stale = "the site has had time to answer"
        if self.share.has_turn(now_ms):
            self._stale = self._stale or "its turn has stood"
        if self.share.has_handed_over(now_ms):
            self._stale = self._stale or "what moved away serves elsewhere"
        if not self._stale and self._quiet.is_over(self, now_ms):
            self._stale = "time"
        return outputs

    def _end_changes(self) -> list[NodeOutput]:
        ended = self.changes.look(self.unix_ms())
        if ended:
            self._stale = "a local change has ended"
        return [*ended]

    def unix_ms(self) -> int:
        """The time by which what lasts until a time ends: the wall clock's, or the authority's last
        signature's if that is later, so that a clock that begins in 1970 lengthens nothing."""
        applied = self.peer.heads.state.applied
        return max(self.wall_ms, applied.signed_unix_ms if applied else 0)

    # ---- deciding ----

    def _decide(self, now_ms: int) -> list[NodeOutput]:
        cause, self._stale, self._decided_ms = self._stale, "", now_ms
        outputs: list[NodeOutput] = []
        if self.membership.registers.get(self.name) is None:
            outputs += self._publish(now_ms)  # placement counts on what registers say, ours too
        outputs += self.share.decide(cause, now_ms)
        planned = self.share.artifacts_planned()
        outputs += self.artifacts.plan(planned, self.work.artifacts, now_ms)
        outputs += self.cordon.look(self.runtime, cause)
        outputs += conditions(self)
        outputs += self.share.tell_runtime(view.routes_of(self), cause)
        self._quiet.decided(self, bool(outputs), now_ms)
        return outputs + self._publish(now_ms)  # a register that is another is looked at again

    def _publish(self, now_ms: int) -> list[NodeOutput]:
        return self._look_at(self.peer.publish(view.register_content(self), now_ms), now_ms)

    # ---- what others ask ----

    def unacknowledged_records(self) -> int:
        """Records on this disk, copies included, that no master has acknowledged."""
        logs = self.peer.logs
        return sum(
            last - logs.acknowledged(key)
            for key, last in logs.unacknowledged()
            if key.kind == "record"
        )

    @property
    def in_sync(self) -> bool:
        """Whether a master is reached, has the same as this site, and has all records of it that
        lie here."""
        return self.peer.gateway() is not None and self.unacknowledged_records() == 0

    def copy_holder(self) -> str:
        """The neighbour that keeps copies of this node's journal: the first by rendezvous of those
        that live and are linked, and are not draining if another is there."""
        live = set(self.membership.liveness.live())
        linked = live.intersection(self.peer.neighbours())
        draining = self.membership.registers.draining
        return first(f"copy {self.name}", linked - draining or linked) or ""

    def wants_wan_link(self) -> bool:
        """Whether this node should hold, or try to get, a link with a master: as the gateway, or
        while nobody is."""
        gateway = self.peer.gateway()
        return gateway is None or gateway == self.name

    def listens(self, peer_address: str) -> None:
        """Where neighbours reach this node's peer port, once it is open."""
        self.facts = replace(self.facts, peer_address=peer_address)
        self._stale = "the peer port is open"

    @property
    def inference_address(self) -> str:
        """Where neighbours send inference requests for this node; "" while that is not known."""
        return as_reached(self._inference_address, self.facts.peer_address)

    @property
    def register(self) -> StableRegister:
        """This node's own register, as published last."""
        record = self.membership.registers.get(self.name)
        return record.body if record else StableRegister()
