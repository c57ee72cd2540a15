"""A node's core: what it hears, what the site decides of it, and what this node does.

Every event goes to the part that it concerns. Then, if anything changed that a decision rests on,
the node decides anew: placement over the live nodes, its own share, its own register. Each
instruction carries its cause.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.core import view
from mesh.core.alarms import Alarms
from mesh.core.artifacts import Artifacts, Output
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFailed,
    ArtifactFinished,
    ChunksFailed,
    ChunkStored,
    NodeEvent,
    Run,
    RuntimeReported,
    Trouble,
    WanPath,
)
from mesh.core.outage import OutageWatch
from mesh.core.runtime_view import RuntimeView
from mesh.events import Drop, Event, Instruction, Notice, Send, Tick, WriteJournal
from mesh.exchange.frames import pack
from mesh.exchange.membership import Membership
from mesh.hashing import first
from mesh.heads.branches import open_site_branch
from mesh.heads.revocations import Revoked
from mesh.heads.tree import BranchRefused
from mesh.peer import Peer
from mesh.site.local import LocalWork, ReplicaKey, decide
from mesh.site.placement import Placement, place
from mesh.site.views import NodeView, views
from protos.documents_pb2 import (
    Capacity,
    LoadRegister,
    ServicePlan,
    SiteBranch,
    StableRegister,
)

NodeOutput = Output | Run
LOAD_EVERY_MS = 2_000
DECIDE_EVERY_MS = 1_000
"""Even where nothing seems to have changed: a decision that rests on time is never later."""


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
    ) -> None:
        self.peer = peer
        self.membership = membership
        self.artifacts = artifacts
        self.facts = facts
        self.name = peer.config.name
        self.branch = SiteBranch()
        self.revoked = Revoked(b"")
        self.placement = Placement({}, {}, {}, {})
        self.work = LocalWork((), (), (), frozenset())
        self.runtime = RuntimeView()
        self.alarms = Alarms()
        self.outage = OutageWatch(now_ms)
        self.wan = False
        self.clone_seen = False
        self._last_words: dict[str, bytes] = {}
        self.synced_ms: int | None = None
        self.wall_ms = 0
        self._inference_address = ""
        self._load_version = 0
        self._loaded_ms = now_ms
        self._decided_ms = now_ms
        self._stale = "start"
        self._told: Run | None = None
        self._use_branch("disk")

    # ---- the boundary ----

    def handle(self, event: Event | NodeEvent, now_ms: int) -> list[NodeOutput]:
        """Takes one event; returns what is to be done, in order."""
        outputs = self._look_at(self._dispatch(event, now_ms), now_ms)
        if isinstance(event, Tick):
            outputs += self._on_tick(event, now_ms)
        if self._stale:
            outputs += self._decide(now_ms)
        return outputs

    def _dispatch(self, event: Event | NodeEvent, now_ms: int) -> Sequence[NodeOutput]:
        match event:
            case RuntimeReported():
                return self._runtime_reported(event)
            case WanPath():
                return self._wan_path(event, now_ms)
            case Trouble():
                return self._trouble(event)
            case ArtifactBegun():
                return self.artifacts.begun(event, now_ms)
            case ArtifactFailed():
                self._stale = "the disk refused an artifact"
                return self.artifacts.disk_refused(event, now_ms)
            case ArtifactFinished():
                self._stale = "an artifact is whole"
                return self.artifacts.finished(event)
            case ChunkStored():
                return self.artifacts.stored(event, now_ms)
            case ChunksFailed():
                return self.artifacts.chunks_failed(event, now_ms)
            case _:
                return self.peer.handle(event, now_ms)

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
            case "state":
                return self._state_applied(notice)
            case "verdict":
                return self._verdict(notice)
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
                return self._conflict(notice)
            case "refused":
                return self._refused(notice)
            case _:
                return []

    def _state_applied(self, notice: Notice) -> list[NodeOutput]:
        self._use_branch(notice.cause)
        fields = {"counter": notice.subject}
        site = self.peer.config.site
        applied = WriteJournal("record", "plan.applied", site, notice.cause, fields)
        return [applied, *self._shut_out_revoked()]

    def _shut_out_revoked(self) -> list[NodeOutput]:
        """Closes the links of revoked peers and forgets what they said of themselves."""
        registers = self.membership.registers
        gone = [r.body.node for r in registers.records() if self.revoked.is_revoked(r.keys.tls_key)]
        registers.forget(node for node in gone if node != self.name)
        return [
            Drop(peer, f"revoked: {reason}")
            for peer, link in sorted(self.peer.links.items())
            if (reason := self.revoked.is_revoked(link.contact.tls_key)) is not None
        ]

    def _use_branch(self, cause: str) -> None:
        blob = self.peer.heads.contents().get(f"site/{self.peer.config.site}")
        if blob is None:
            return
        try:
            self.branch = open_site_branch(blob, self.peer.config.site)
        except BranchRefused:
            return  # the last good branch stays in force; the heads' flow reports it
        revocations = self.peer.heads.contents().get("revocations", b"")
        try:
            self.revoked = Revoked(revocations)
        except BranchRefused:
            return
        self.peer.roster_keys = {e.node: e.signing_key for e in self.branch.roster}
        self._stale = f"the plan, {cause}"

    def _verdict(self, notice: Notice) -> list[NodeOutput]:
        self._stale = f"{notice.subject} is {notice.data}"
        record = self.membership.registers.get(notice.subject)
        if notice.data == "dead" and record is not None:
            self._last_words[notice.subject] = record.digest
        event = {"dead": "node.dead", "suspect": "node.suspected", "alive": "node.alive"}
        return [WriteJournal("record", event[notice.data], notice.subject, notice.cause)]

    def _register_changed(self, notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
        if notice.subject != self.name:
            self._stale = f"the register of {notice.subject}"
        members = self.membership.liveness.live()
        with_wan = [n for n in members if self._has_wan(n)]
        instructions = self.artifacts.swarm.members(members, with_wan, now_ms)
        return self.artifacts.carry(instructions)

    def _has_wan(self, node: str) -> bool:
        if node == self.name:
            return self.wan
        record = self.membership.registers.get(node)
        return record is not None and record.body.wan

    def _link_changed(self, notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
        swarm, peer = self.artifacts.swarm, notice.subject
        self._stale = f"the link with {peer} is {notice.cause}"
        if peer not in self.peer.neighbours() and notice.cause == "up":
            return self.artifacts.ask([peer])  # a master
        if notice.cause == "up":
            return [*self.artifacts.carry(swarm.peer_up(peer, now_ms)), *self.artifacts.ask([peer])]
        return self.artifacts.carry(swarm.peer_down(peer, now_ms))

    def _conflict(self, notice: Notice) -> list[NodeOutput]:
        kinds = {
            "clone": (
                "Clone",
                "two machines hold the disk of this node: switch one off, enrol it "
                "anew with a new ID",
            ),
            "boot": ("OldDisk", "peers know a later start of this node: its disk was restored"),
            "equivocation": ("Equivocation", "the authority signed two contents under one number"),
            "fork": ("JournalFork", "the node signed two histories of one journal"),
        }
        kind, text = kinds[notice.what]
        message = f"{text} ({notice.cause})"
        if notice.what in ("clone", "boot") and notice.subject == self.name:
            self.clone_seen = notice.what == "clone"
            self._stale = "a clone of this node"
        return list(self.alarms.set(kind, notice.subject, message, "critical", self.wall_ms))

    def _refused(self, notice: Notice) -> list[NodeOutput]:
        return [WriteJournal("data", "input.refused", notice.subject, notice.cause)]

    # ---- events of the edge ----

    def _runtime_reported(self, event: RuntimeReported) -> list[NodeOutput]:
        changes = self.runtime.update(event.state)
        self._stale = "the runtime's state"
        if event.state is not None:
            self._inference_address = event.state.peer_inference_address
        else:
            self._told = None
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

    def _trouble(self, event: Trouble) -> list[NodeOutput]:
        if not event.message:
            return list(self.alarms.clear(event.kind, event.subject, "it is over"))
        return list(
            self.alarms.set(event.kind, event.subject, event.message, event.severity, self.wall_ms)
        )

    # ---- time ----

    def _on_tick(self, tick: Tick, now_ms: int) -> list[NodeOutput]:
        self.wall_ms = tick.wall_ms
        outputs = self._look_at(self.artifacts.tick(now_ms), now_ms)
        outputs += self._watch_outage(now_ms)
        if now_ms - self._loaded_ms >= LOAD_EVERY_MS:
            self._loaded_ms = now_ms
            outputs += self._publish_load()
        if now_ms - self._decided_ms >= DECIDE_EVERY_MS and not self._stale:
            self._stale = "time"
        return outputs

    def _watch_outage(self, now_ms: int) -> list[NodeOutput]:
        out = self.outage.update(self.peer.gateway(), now_ms)
        if out is None:
            return []
        site = self.peer.config.site
        message = "the site reaches no master: it goes on by itself, nothing needs to be done here"
        if out:
            entry = WriteJournal("record", "outage.began", site, "no node has a path to a master")
            return [entry, *self.alarms.set("Outage", site, message, "warning", self.wall_ms)]
        ended = self.alarms.clear("Outage", site, "a master is reached")
        cause = f"through {self.peer.gateway()}"
        return [WriteJournal("record", "outage.ended", site, cause), *ended] if ended else []

    def _publish_load(self) -> list[NodeOutput]:
        loads = self.runtime.loads()
        if loads == self.runtime.told_loads:
            return []
        self.runtime.told_loads = loads
        self._load_version += 1
        body = LoadRegister(
            node=self.name, boot=self.peer.config.boot, version=self._load_version, services=loads
        )
        envelope = self.membership.publish_load(body)
        frames = pack([("loads", envelope)])
        return [Send(n, data, "load") for data in frames for n in self.peer.neighbours()]

    # ---- deciding ----

    def _decide(self, now_ms: int) -> list[NodeOutput]:
        cause, self._stale, self._decided_ms = self._stale, "", now_ms
        nodes = self._views()
        plan = self.branch.plan
        placement = place(plan, nodes)
        self.work = decide(
            self.name,
            plan,
            placement,
            nodes,
            running=[key for key, _ in self._told.replicas] if self._told else self.runtime.keys(),
            serving=self.runtime.serving(),
            held=self.artifacts.complete,
        )
        outputs = self._placement_changed(placement, cause)
        outputs += self.artifacts.plan(
            {model.artifact for model in plan.models}, self.work.artifacts, now_ms
        )
        outputs += self._alarms()
        outputs += self._tell_runtime(cause)
        content = view.register_content(self)
        outputs += self._look_at(self.peer.publish(content, now_ms), now_ms)
        return outputs

    def _views(self) -> list[NodeView]:
        """The live nodes. What a node said before it died is no word about what it runs now."""
        records = self.membership.registers.records()
        nodes = views([r.body for r in records], self.membership.liveness.live())
        old = {r.body.node for r in records if self._last_words.get(r.body.node) == r.digest}
        return [replace(one, serving={}) if one.node in old else one for one in nodes]

    def _placement_changed(self, placement: Placement, cause: str) -> list[NodeOutput]:
        before, self.placement = self.placement, placement
        entries: list[NodeOutput] = []
        services = {s.name for s in self.branch.plan.services}
        for name in sorted(services | set(before.replicas.get(self.name, {}))):
            old, new = before.count(self.name, name), placement.count(self.name, name)
            if old != new:
                fields = {"before": str(old), "replicas": str(new)}
                entries.append(WriteJournal("record", "workload.placed", name, cause, fields))
        mine = {n for n, at in placement.pipelines.items() if at == self.name}
        were = {n for n, at in before.pipelines.items() if at == self.name}
        for name in sorted(mine ^ were):
            fields = {"replicas": "1" if name in mine else "0"}
            entries.append(WriteJournal("record", "workload.placed", name, cause, fields))
        return entries

    def _alarms(self) -> list[Instruction]:
        offline = {
            node: "no answer, directly or through others: see to its power and its network"
            for node in self.membership.liveness.dead()
        }
        held_back = {d.hex()[:16]: reason for d, reason in self.artifacts.failed.items()}
        refused = {d.hex()[:16]: reason for d, reason in self.artifacts.refused.items()}
        return [
            *self.alarms.update("Offline", offline, "critical", self.wall_ms),
            *self.alarms.update("Pending", dict(self.placement.pending), "warning", self.wall_ms),
            *self.alarms.update("Disk", held_back, "critical", self.wall_ms),
            *self.alarms.update("RefusedArtifact", refused, "critical", self.wall_ms),
            *self.alarms.update("Refused", self.runtime.refused(), "critical", self.wall_ms),
            *self.alarms.update("CrashLoop", self.runtime.crashing(), "critical", self.wall_ms),
        ]

    def _tell_runtime(self, cause: str) -> list[NodeOutput]:
        if self.runtime.gone or self.clone_seen:
            return []
        run = view.run_instruction(self, cause)
        if self._told is not None and view.same_run(run, self._told):
            return []
        self._told = run
        return [run]

    @property
    def told_services(self) -> dict[ReplicaKey, ServicePlan]:
        """What the runtime was told last, by replica."""
        return dict(self._told.replicas) if self._told else {}

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
        that live and are linked."""
        live = set(self.membership.liveness.live())
        linked = [node for node in self.peer.neighbours() if node in live]
        return first(f"copy {self.name}", linked) or ""

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
        """Where neighbours send inference requests for this node."""
        return self._inference_address

    @property
    def register(self) -> StableRegister:
        """This node's own register, as published last."""
        record = self.membership.registers.get(self.name)
        return record.body if record else StableRegister()
