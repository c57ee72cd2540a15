"""Simulated nodes and masters: the production cores on a simulated edge."""

from collections.abc import Callable, Sequence
from typing import Any

from mesh.blobs.instructions import Fault
from mesh.blobs.swarm import Swarm
from mesh.core.artifacts import Artifacts
from mesh.core.at_start import artifacts_at_start
from mesh.core.changes import LOCAL_CHANGES
from mesh.core.cordon import CORDON, document
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFinished,
    ChunksFailed,
    ChunkStored,
    CordonAsked,
    Leaving,
    RuntimeReported,
    WanPath,
)
from mesh.core.node import NodeCore, NodeFacts
from mesh.events import BatchSaved, LinkDown
from mesh.exchange.heads_flow import HeadsFlow
from mesh.exchange.membership import Membership, Self
from mesh.heads.certificates import check_certificate
from mesh.heads.state import State
from mesh.heads.trust import Trust
from mesh.journals.batches import BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.journals.logs import Logs
from mesh.peer import Peer, PeerConfig
from mesh.registers.store import NodeKeys, Registers
from protos.documents_pb2 import Boot, Capacity, Phase, ReplicaState, ServiceLoad
from protos.peer_pb2 import Documents
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from tests.sim import identities
from tests.sim.disk import Disk
from tests.sim.world import DIAL_MS, WAN_RETRY_MS, Host, World, contact_of

STEP_DOWN_MS = 5_000
LOAD_MS = 700
"""How long a simulated worker takes until it serves."""
GIB = 1 << 30


def keys_in(der: bytes) -> NodeKeys:
    """What a certificate of the test mesh says; raises ValueError for any other."""
    certified = check_certificate(der, [identities.authority()], identities.MESH)
    identity = certified.identity
    return NodeKeys(identity.name, identity.site, certified.signing_key, certified.tls_key)


class SimNode(Host):
    """A node with its runtime."""

    def __init__(self, world: World, site: str, name: str, sources: Sequence[str] = ()) -> None:
        super().__init__(world, contact_of(name, site), Disk())
        self.site = site
        self.sources = tuple(sources)
        self.cores = 4
        self.runs: dict[Any, ReplicaStatus] = {}
        self.tried_versions: set[str] = set()
        self.starts: list[tuple[int, str]] = []
        self._pids = 100
        self.wanted: set[Any] = set()
        self.loads: list[ServiceLoad] = []
        self._dialled_ms = 0
        self._wan_ms = -WAN_RETRY_MS

    def boot(self) -> None:
        """Starts from the disk, as the daemon does."""
        self.runs = {}
        self.start_agent()

    def power_off(self) -> None:
        """The machine dies, with all that runs on it."""
        self.crash()
        self.runs = {}

    def leave(self) -> None:
        """The agent ends as planned: it says so, and its workers go on."""
        self.feed(Leaving())
        self.world.run(20)
        self.crash()

    def restart_agent(self) -> None:
        """The agent dies and starts anew; its workers go on."""
        self.crash()
        self.start_agent()

    def start_agent(self) -> None:
        """Starts the agent, which adopts what runs."""
        floor = Boot.FromString(self.disk.documents.get("boot-floor", b"")).counter
        self.disk.boots = max(self.disk.boots, floor) + 1
        nonce = self.world.random.randbytes(8)
        self.core_boot = Boot(counter=self.disk.boots, nonce=nonce)
        self.writers = {
            kind: BatchWriter(
                LogKey(self.name, self.disk.boots, nonce, kind), identities.signer(self._uri)
            )
            for kind in ("record", "data")
        }
        core = self._core()
        core.artifacts.restored(self._manifests(core), self.disk.complete, self.clock_ms())
        self._wan_held_ms = self.world.now_ms
        self.start(core)
        self.greet_runtime()

    def greet_runtime(self) -> None:
        """The agent that starts finds its runtime."""
        self.feed(RuntimeReported(self._state()))

    def _manifests(self, core: NodeCore) -> list[bytes]:
        """As node/agent/from_disk.py."""
        documents = self.disk.documents
        ran, rollouts = documents.get("ran", b""), documents.get("rollouts", b"")
        named = artifacts_at_start(core.branch.plan, ran, rollouts)
        return [self.disk.blobs[digest] for digest in named if digest in self.disk.blobs]

    @property
    def _uri(self) -> str:
        return identities.node_identity(self.site, self.name).uri

    def refuses(self, other: Host) -> bool:
        """The other end is revoked."""
        return self.core.revoked.is_revoked(other.contact.tls_key) is not None

    def _check(self, der: bytes) -> NodeKeys:
        keys = keys_in(der)
        if self.core is not None and self.core.revoked.is_revoked(keys.tls_key):
            raise ValueError(f"{keys.node} is revoked")
        return keys

    def known_registers(self, check: Callable[[bytes], NodeKeys]) -> Registers:
        """The registers that the agent starts with."""
        return Registers(self.site, check)

    def _core(self) -> NodeCore:
        now, documents = self.clock_ms(), self.disk.documents
        trust = Trust(
            identities.signer("root").public_key,
            documents.get("trust", identities.trust_envelope()),
        )
        state = State(documents.get("state-seen"), documents.get("state-applied"))
        kept = Documents.FromString(documents.get("branches", b""))
        branches = {branch.name: branch for branch in kept.branches}
        blobs = {b.digest: self.disk.blobs[b.digest] for b in kept.branches}
        names = [f"site/{self.site}", "revocations", "released"]
        heads = HeadsFlow(trust, state, names, branches, blobs)
        registers = self.known_registers(self._check)
        me = Self(
            identities.node_keys(self.site, self.name), self.core_boot, identities.signer(self._uri)
        )
        membership = Membership(me, registers, now)
        config = PeerConfig(self.name, "node", self.site, self.core_boot, self._check)
        logs = Logs(self.disk.tails(), own=self.name)
        peer = Peer(config, heads, logs, membership, now)
        artifacts = Artifacts(
            Swarm(self.name), lambda: trust.keys("release"), peer.neighbours, peer.masters
        )
        facts = NodeFacts(
            certificate=identities.certificate(identities.node_identity(self.site, self.name)).der,
            peer_address=f"{self.name}:7400",
            labels={},
            capacity=Capacity(cores=self.cores, memory_bytes=4 * GIB, devices=["CPU"]),
            sources=self.sources,
            masters=(identities.MASTER,),
        )
        return NodeCore(
            peer,
            membership,
            artifacts,
            facts,
            now,
            documents.get("ran", b""),
            documents.get("rollouts", b""),
            documents.get(CORDON, b""),
            documents.get(LOCAL_CHANGES, b""),
        )

    # ---- the edge ----

    def on_tick(self) -> None:
        """Dials neighbours, and a master where the core wants it."""
        now = self.world.now_ms
        if self.frozen:
            return
        if now - self._dialled_ms >= DIAL_MS:
            self._dialled_ms = now
            for other in sorted(self.world.hosts):
                host = self.world.hosts[other]
                if isinstance(host, SimNode) and host.site == self.site and other < self.name:
                    self.world.connect(self.name, other, wan=False)
        self._keep_wan(now)

    def _keep_wan(self, now: int) -> None:
        """As node/agent/wan.py: the gateway holds the link, others step down after a while."""
        linked = frozenset((self.name, identities.MASTER)) in self.world.linked
        if self.core.wants_wan_link():
            self._wan_held_ms = now
            if not linked and now - self._wan_ms >= WAN_RETRY_MS:
                self._wan_ms = now
                up = self.world.connect(self.name, identities.MASTER, wan=True)
                self.feed(WanPath(up, "dialled"))
        elif linked and now - self._wan_held_ms > STEP_DOWN_MS:
            self.world.break_link(self.name, identities.MASTER)

    def feed(self, event: Any) -> None:
        """Events as the daemon's parts give them: a link with a master that ends is a lost path."""
        super().feed(event)
        lost = isinstance(event, LinkDown) and event.peer == identities.MASTER
        if lost and self.up and self.core.wants_wan_link():
            super().feed(WanPath(False, "the link ended"))

    def do_WriteJournal(self, i: Any) -> None:  # noqa: N802
        entry = make_entry(
            i.event,
            i.subject,
            i.cause,
            i.fields,
            unix_ms=self.world.now_ms,
            monotonic_ms=self.world.now_ms,
        )
        batch = self.writers[i.kind].batch([entry])
        self.disk.append(batch)
        self.later(1, lambda: self.feed(BatchSaved(batch)))

    def do_BeginArtifact(self, i: Any) -> None:  # noqa: N802
        self.feed(ArtifactBegun(i.artifact.digest, self.disk.held(i.artifact)))

    def do_FinishArtifact(self, i: Any) -> None:  # noqa: N802
        self.disk.complete.add(i.artifact)
        self.later(5, lambda: self.feed(ArtifactFinished(i.artifact)))

    def do_FetchChunks(self, i: Any) -> None:  # noqa: N802
        def failed(fault: Fault) -> None:
            self.feed(ChunksFailed(i.artifact, i.chunks, i.source, fault))

        self.fetch(i, lambda chunk: self.feed(ChunkStored(i.artifact, chunk)), failed)

    def do_Run(self, i: Any) -> None:  # noqa: N802
        """As the runtime does: one replica a place; the old one of a place ends when the new one
        serves, or at once if it does not serve itself."""
        wanted = {(key.workload, key.index): (key, plan) for key, plan in i.replicas}
        assert len(wanted) == len(i.replicas), "a replica is named twice"
        self.wanted = {key for key, _ in wanted.values()}
        for key in [key for key in self.runs if (key.workload, key.index) not in wanted]:
            del self.runs[key]
        for key, plan in wanted.values():
            if key not in self.runs:
                self._start_replica(key, plan)
        self._drop_superseded()
        self._report()

    def _drop_superseded(self) -> None:
        for key in list(self.runs):
            if key in self.wanted:
                continue
            new = [k for k in self.wanted if (k.workload, k.index) == (key.workload, key.index)]
            serves = self.runs[key].state.phase == Phase.SERVING
            if not serves or any(self._replaces(k) for k in new):
                del self.runs[key]

    def _replaces(self, key: Any) -> bool:
        """Whether a replica has passed its gate, so that the one before it may end."""
        status = self.runs.get(key)
        return status is not None and status.state.phase == Phase.SERVING and status.state.soaked

    def _start_replica(self, key: Any, plan: Any) -> None:
        assert self.disk.whole(plan.artifact), "a replica is started whose model is not here"
        self._pids += 1
        pid = self._pids
        self.starts.append((self.world.now_ms, key.workload))
        self.tried_versions.add(plan.model_version)
        state = ReplicaState(
            workload=key.workload,
            index=key.index,
            config=key.config,
            phase=Phase.LOADING,
            model=plan.model,
            model_version=plan.model_version,
        )
        self.runs[key] = ReplicaStatus(state=state, pid=pid)

        fault = self.world.faulty.get(plan.model_version, "")
        beside = any(
            k.workload == key.workload and s.state.phase == Phase.SERVING
            for k, s in self.runs.items()
            if k != key
        )

        def become(phase: Phase, reason: str = "", soaked: bool = False) -> None:
            if key in self.runs and self.runs[key].pid == pid:
                state = self.runs[key].state
                state.phase, state.reason, state.soaked = phase, reason, soaked
                self._drop_superseded()
                self._report()

        if fault == "golden":
            self.world.after(LOAD_MS, lambda: become(Phase.REFUSED, "golden check: wrong"))
            return
        self.world.after(LOAD_MS, lambda: become(Phase.SERVING))
        if fault == "crash" and beside:
            died = LOAD_MS + plan.soak_ms // 2
            self.world.after(died, lambda: become(Phase.REFUSED, "in its soak the worker ended"))
            return
        self.world.after(LOAD_MS + plan.soak_ms, lambda: become(Phase.SERVING, soaked=True))

    def hold_back(self, draining: bool | None, reason: str = "") -> None:
        """An operator says at this node: cordoned, draining, or neither (None)."""
        asked = CordonAsked(draining is not None, bool(draining), reason)
        self.disk.documents[CORDON] = document(asked)
        self.feed(asked)

    def lose_runtime(self) -> None:
        """The runtime dies with all that it runs; the agent starts another."""
        self.runs = {}
        self.feed(RuntimeReported(None))
        self.world.after(LOAD_MS, lambda: self.feed(RuntimeReported(self._state())))

    def kill_worker(self, workload: str) -> None:
        """SIGKILL to the workers of a service; the runtime starts them again."""
        for key, status in self.runs.items():
            if key.workload == workload:
                status.state.phase = Phase.FAILED
                status.restarts += 1

        def again() -> None:
            for status in self.runs.values():
                if status.state.phase == Phase.FAILED:
                    self._pids += 1
                    status.pid, status.state.phase = self._pids, Phase.SERVING
            self._report()

        self._report()
        self.world.after(LOAD_MS, again)

    def _state(self) -> RuntimeState:
        return RuntimeState(
            replicas=list(self.runs.values()),
            loads=self.loads,
            peer_inference_address=f"{self.name}:7412",
        )

    def _report(self) -> None:
        state = self._state()
        self.later(1, lambda: self.feed(RuntimeReported(state)))

    def under_load(self, queue_delay_ms: int) -> None:
        """The queues of what the node runs have this delay from now on."""
        names = sorted({key.workload for key in self.runs})
        self.loads = [ServiceLoad(workload=n, queue_delay_ms=queue_delay_ms) for n in names]
        self._report()

    def versions(self, workload: str) -> list[str]:
        """The versions of a service that serve here."""
        return sorted(
            status.state.model_version
            for key, status in self.runs.items()
            if key.workload == workload and status.state.phase == Phase.SERVING
        )

    def tried(self, version: str) -> bool:
        """Whether a version was ever started here."""
        return version in self.tried_versions

    def serving(self, workload: str) -> int:
        """Replicas of a service that serve here."""
        return sum(
            1
            for key, status in self.runs.items()
            if key.workload == workload and status.state.phase == Phase.SERVING
        )
