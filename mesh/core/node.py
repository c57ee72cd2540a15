"""A node's core: what it hears, what the site decides of it, and what this node does.

Every event goes to the part that it concerns. Then, if anything changed that a decision rests on,
the node decides anew: placement over the live nodes, its own share, its own register. Each
instruction carries its cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from mesh.addresses import as_reached
from mesh.core import notices, reports, view
from mesh.core.admissions import Admissions
from mesh.core.alarms import Alarms
from mesh.core.artifacts import Artifacts
from mesh.core.authority import Authority
from mesh.core.catching_up import CatchingUp
from mesh.core.changes import LocalChanges
from mesh.core.clocks import Clocks
from mesh.core.collecting import Collecting
from mesh.core.conditions import conditions
from mesh.core.conflicts import Conflicts
from mesh.core.cordon import Cordon
from mesh.core.grounds import Grounds
from mesh.core.helping import Helping
from mesh.core.in_force import InForce
from mesh.core.kept import Kept
from mesh.core.lag import Lag
from mesh.core.leases import Leases
from mesh.core.loads import Loads
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactDamaged,
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    ChangeMade,
    ChunksFailed,
    ChunkStored,
    CordonAsked,
    DiskRoom,
    Leaving,
    NeighbourSilent,
    NodeEvent,
    NodeOutput,
    RestartAsked,
    RuntimeReported,
    Trouble,
    WanPath,
)
from mesh.core.outage import OutageWatch
from mesh.core.quarantine import Quarantine
from mesh.core.quiet import Quiet
from mesh.core.refusals import Refusals
from mesh.core.rosters import Rosters
from mesh.core.runtime_loss import RuntimeLoss
from mesh.core.runtime_view import RuntimeView
from mesh.core.share import Share
from mesh.core.suppliers import Suppliers
from mesh.core.troubles import Troubles, of_node
from mesh.events import Event, Notice, Received, SaveBatch, SendBlobs, Tick
from mesh.exchange.membership import Membership
from mesh.hashing import first
from mesh.heads.revocations import Revoked
from mesh.peer import Peer
from mesh.site.local import LocalWork, ReplicaKey
from mesh.site.placement import Placement
from protos.documents_pb2 import Capacity, ServicePlan, SiteBranch, StableRegister

DECIDE_GAP_MS = 50
"""Between two decisions: what comes in a burst is decided about together, a tick later at most."""
LOOK_EVERY_MS = 1_000
"""Between two looks at what lasts for minutes: a state that does not come, a clock, a change."""
RUNTIME_MS = 1_000
"""After the start, the longest wait for the first word of the runtime or that there is none: it
comes in 0.1 s, and of a runtime that is frozen not for three."""


@dataclass(frozen=True)
class NodeFacts:
    """What this node says of itself that does not change while it runs."""

    certificate: bytes
    peer_address: str
    labels: dict[str, str]
    capacity: Capacity
    sources: tuple[str, ...]
    masters: tuple[str, ...]
    moved: str = ""  # why its data folder seems to come from another machine


class NodeCore:
    """The decisions of one node. `handle` takes events; `plan`, `placement` are for reading."""

    def __init__(
        self,
        peer: Peer,
        membership: Membership,
        artifacts: Artifacts,
        facts: NodeFacts,
        now_ms: int,
        kept: Kept,
        admissions: Admissions | None = None,
    ) -> None:
        self.peer = peer
        self.membership = membership
        self.artifacts = artifacts
        self.facts = facts
        self.name = peer.config.name
        self.in_force = InForce(peer.config.site)
        self.runtime = RuntimeView()
        self.troubles = Troubles(kept.troubles, now_ms)
        self.runtime_loss = RuntimeLoss(self.troubles.kept.runtime_gone)
        self.quarantine = Quarantine(self.troubles.kept, now_ms)
        self.alarms = Alarms(self.troubles.kept, now_ms)
        self.conflicts = Conflicts(self.alarms)
        self.cordon = Cordon(self.name, self.in_force, kept.cordon, self.troubles.kept.drained)
        site, trust = peer.config.site, peer.heads.trust
        self.changes = LocalChanges(site, trust, self.in_force, artifacts.known, kept.changes)
        self.admissions = admissions or Admissions(site, trust, b"")
        self.share = Share(
            self.name,
            membership,
            self.in_force,
            self.runtime,
            artifacts,
            self.conflicts,
            self.cordon,
            kept.ran,
            kept.rollouts,
            now_ms,
        )
        self.leases = Leases(self.name, peer.config.boot, Rosters(kept.rosters), now_ms)
        self.collecting = Collecting(artifacts)
        self.helping = Helping(now_ms)
        self.outage = OutageWatch(now_ms)
        self.lag = Lag()
        self.clocks = Clocks(self.name)
        self.disk_short = False
        self.wan = False
        self.synced_ms: int | None = None
        self.leaving = False
        self.wall_ms = 0
        self.refusals = Refusals()
        self.loads = Loads(self.name, peer.config.boot, membership, now_ms)
        self.suppliers = Suppliers()
        self.grounds = Grounds()
        self._quiet = Quiet(now_ms)
        self._begun_ms = self._decide_ms = now_ms
        self._looked_ms = now_ms - LOOK_EVERY_MS
        self.stale = "start"  # why there is to be decided anew; "" where nothing changed
        self.catching_up = CatchingUp()
        self.authority = Authority(self)
        self.authority.start(self, kept.in_force, now_ms)

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
        outputs += self.in_force.save()
        if isinstance(event, Tick):
            outputs += self._on_tick(event, now_ms)
        if self.stale and now_ms >= self._decide_ms and self._knows_its_runtime(now_ms):
            outputs += self._decide(now_ms)
        return outputs

    def _knows_its_runtime(self, now_ms: int) -> bool:
        """Whether this node knows what runs on it, or need not wait for that any more. What it says
        first is the whole: an agent that starts anew would else seem to have lost all its work."""
        return self.runtime.heard or now_ms >= self._begun_ms + RUNTIME_MS

    def _dispatch(self, event: Event | NodeEvent, now_ms: int) -> Sequence[NodeOutput]:
        match event:
            case RuntimeReported():
                return reports.runtime_reported(self, event, now_ms)
            case WanPath():
                return reports.wan_path(self, event, now_ms)
            case Trouble() | CordonAsked() | RestartAsked():
                return reports.told_by_hand(self, event)
            case Leaving() | NeighbourSilent():
                return reports.away(self, event, now_ms)
            case ChangeMade():
                self.stale = "an operator changed something here"
                return self.changes.heard([event.envelope], self.name, self.unix_ms())
            case (
                ArtifactBegun()
                | ArtifactFailed()
                | ArtifactFinished()
                | ArtifactDamaged()
                | ArtifactRemoved()
            ):
                return reports.artifact(self, event, now_ms)
            case DiskRoom():
                return reports.disk_room(self, event)
            case ChunkStored():
                return self.artifacts.stored(event, now_ms)
            case ChunksFailed():
                return self.artifacts.chunks_failed(event, now_ms)
            case _:
                return self.peer.handle(event, now_ms)

    def _look_at(self, outputs: Sequence[NodeOutput], now_ms: int) -> list[NodeOutput]:
        """Passes instructions on and acts on notices, which end here."""
        result: list[NodeOutput] = []
        for output in outputs:
            if isinstance(output, Notice):
                result += self._look_at(notices.act_on(self, output, now_ms), now_ms)
            else:
                if isinstance(output, SaveBatch):
                    self.clocks.heard(output.batch, now_ms)
                elif isinstance(output, SendBlobs):
                    self.artifacts.wanted(output)
                result.append(output)
        return result

    # ---- time ----

    def _on_tick(self, tick: Tick, now_ms: int) -> list[NodeOutput]:
        self.wall_ms = tick.wall_ms
        outputs = self._look_at(self.artifacts.tick(now_ms), now_ms)
        site, gateway = self.peer.config.site, self.peer.gateway()
        outputs += self.outage.watch(gateway, site, self.alarms, self.wall_ms, now_ms)
        linked = self.peer.neighbours()
        outputs += self.loads.tick(self.runtime, linked, now_ms)
        outputs += self.refusals.tick(now_ms)
        outputs += self.authority.look_at_boxes(self, now_ms)
        if now_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._compare(now_ms)
            outputs += self._end_changes()
            outputs += self.catching_up.ask(self)
        outputs += self.share.count(linked, now_ms)
        outputs += self.leases.tick(self, now_ms)
        outputs += self.alarms.tick(now_ms)
        outputs += self.troubles.tick(partial(of_node, self), self.alarms.generation, now_ms)
        if self.helping.look(self, now_ms):
            self.stale = self.stale or "neighbours have no way to what they need, or have one now"
        if self.share.has_settled(now_ms):
            self.stale = "the site has had time to answer"
        if self.share.has_turn(now_ms):
            self.stale = self.stale or "its turn has stood"
        if self.share.has_handed_over(now_ms):
            self.stale = self.stale or "what moved away serves elsewhere"
        if self.runtime_loss.is_due(now_ms):
            self.stale = "the runtime stays away"
            outputs += self.publish(now_ms)
        if self.quarantine.is_due(now_ms):
            self.stale = self.stale or "a quarantine is over"
        if not self.stale and self._quiet.is_over(self, now_ms):
            self.stale = "time"
        return outputs

    def _compare(self, now_ms: int) -> None:
        """What is here with what should be: the state in force, the wall clock."""
        state = self.peer.heads.state
        self.lag.look(state.floor, state.applied.order if state.applied else (0, 0), now_ms)
        signed_ms = state.seen.signed_unix_ms if state.seen else 0
        self.clocks.look(self.membership.liveness.live(), self.wall_ms, signed_ms, now_ms)

    def _end_changes(self) -> list[NodeOutput]:
        ended = self.changes.look(self.unix_ms())
        if ended:
            self.stale = "a local change has ended"
        return [*ended]

    def unix_ms(self) -> int:
        """The time by which what lasts until a time ends: the wall clock's, or the authority's last
        signature's if that is later, so that a clock that begins in 1970 lengthens nothing."""
        applied = self.peer.heads.state.applied
        return max(self.wall_ms, applied.signed_unix_ms if applied else 0)

    # ---- deciding ----

    def _decide(self, now_ms: int) -> list[NodeOutput]:
        cause, self.stale, self._decide_ms = self.stale, "", now_ms + DECIDE_GAP_MS
        outputs: list[NodeOutput] = [*self.changes.look(self.unix_ms())]
        if self.membership.registers.get(self.name) is None:
            outputs += self.publish(now_ms)  # placement counts on what registers say, ours too
        outputs += self.share.decide(cause, now_ms)
        outputs += self.leases.want(self, now_ms)
        if self.branch.site:  # else it is not known what is configured
            configured = [*self.branch.plan.services, *self.share.plan.services]
            outputs += self.quarantine.look(configured, now_ms)
        planned = self.share.artifacts_planned()
        going = self.collecting.look(self, planned, now_ms)
        needed = self.work.artifacts | self.collecting.fetches
        outputs += self.artifacts.plan(planned, needed, now_ms)
        outputs += self.cordon.look(self.runtime, cause)
        outputs += conditions(self)
        routes, pipelines = view.routes_of(self), self.leases.allowed(self)
        outputs += self.leases.told(self.share.tell_runtime(routes, pipelines, cause))
        self._quiet.decided(self, bool(outputs or going), now_ms)
        # A register that is another is looked at again. What goes is named by none any more.
        return [*outputs, *self.publish(now_ms), *going]

    def publish(self, now_ms: int) -> list[NodeOutput]:
        """Says what is so now, if it is another than was said last."""
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
        self.stale = "the peer port is open"

    @property
    def inference_address(self) -> str:
        """Where neighbours send inference requests for this node; "" while that is not known."""
        return as_reached(self.runtime.state.peer_inference_address, self.facts.peer_address)

    @property
    def register(self) -> StableRegister:
        """This node's own register, as published last."""
        record = self.membership.registers.get(self.name)
        return record.body if record else StableRegister()
