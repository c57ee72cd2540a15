"""Simulated nodes: the production core on a simulated edge."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mesh.blobs.instructions import Fault
from mesh.blobs.swarm import Swarm
from mesh.core.admissions import ADMISSIONS, Admissions
from mesh.core.artifacts import Artifacts
from mesh.core.at_start import artifacts_at_start
from mesh.core.cordon import CORDON, document
from mesh.core.in_force import IN_FORCE, NO_STATE, InForce
from mesh.core.kept import read_kept
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFinished,
    ArtifactRemoved,
    ChunksFailed,
    ChunkStored,
    CordonAsked,
    Leaving,
    WanPath,
)
from mesh.core.node import NodeCore, NodeFacts
from mesh.events import BatchSaved, LinkDown
from mesh.exchange.heads_flow import HeadsFlow
from mesh.exchange.membership import Membership, Self
from mesh.heads.certificates import Certified, UnknownIssuer, check_certificate
from mesh.heads.state import State
from mesh.heads.trust import Trust
from mesh.journals.batches import BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.journals.logs import Logs
from mesh.peer import Peer, PeerConfig
from mesh.registers.store import NodeKeys, Registers
from mesh.signed import Signer
from protos.documents_pb2 import Boot, Capacity
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.disk import Disk
from tests.sim.runtime import SimRuntime
from tests.sim.world import DIAL_MS, WAN_RETRY_MS, Host, World, contact_shown

STEP_DOWN_MS = 5_000
GIB = 1 << 30


@functools.cache
def keys_in(der: bytes) -> NodeKeys:
    """What a certificate of the test mesh says; raises ValueError for any other."""
    return keys_of(check_certificate(der, [identities.authority()], identities.MESH))


def keys_of(certified: Certified) -> NodeKeys:
    """What a certificate says, as registers need it."""
    identity = certified.identity
    return NodeKeys(identity.name, identity.site, certified.signing_key, certified.tls_key)


class SimNode(SimRuntime):
    """A node with its runtime."""

    def __init__(self, world: World, site: str, name: str, sources: Sequence[str] = ()) -> None:
        self.id = name
        self.site = site
        self.me, self.signer = self.identity()
        super().__init__(world, contact_shown(self.me), Disk())
        self.sources = tuple(sources)
        self.cores = 4
        self.heard_after_ms = 0
        self.moved = ""
        self._dialled_ms = 0
        self._wan_ms = -WAN_RETRY_MS

    def identity(self) -> tuple[Certified, Signer]:
        """Who it is, by its certificate, and what it signs with."""
        identity = identities.node_identity(self.site, self.id)
        return identities.certificate(identity), identities.signer(identity.uri)

    def boot(self) -> None:
        """Starts from the disk, as the daemon does."""
        self.runs, self.pipelines, self.deadlines = {}, {}, {}
        self.start_agent()

    def power_off(self) -> None:
        """The machine dies, with all that runs on it."""
        self.crash()
        self.runs, self.pipelines, self.deadlines = {}, {}, {}

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
            kind: BatchWriter(LogKey(self.id, self.disk.boots, nonce, kind), self.signer)
            for kind in ("record", "data")
        }
        core = self._core()
        lying = self.disk.lying()
        core.artifacts.restored(self._manifests(core), self.disk.complete, self.clock_ms(), lying)
        self._wan_held_ms = self.world.now_ms
        self.start(core)
        self.greet_runtime()

    def greet_runtime(self) -> None:
        """The agent that starts finds its runtime, at once or a while after its first tick."""
        if not self.heard_after_ms:
            self.find_runtime()
            return
        self.later(self.heard_after_ms, self.find_runtime)

    def _manifests(self, core: NodeCore) -> list[bytes]:
        """As node/agent/from_disk.py."""
        documents = self.disk.documents
        ran, rollouts = documents.get("ran", b""), documents.get("rollouts", b"")
        named = artifacts_at_start(core.branch.plan, ran, rollouts)
        return [self.disk.blobs[digest] for digest in named if digest in self.disk.blobs]

    def refuses(self, other: Host) -> bool:
        """The other end is revoked, or a box that was not admitted here."""
        if isinstance(other, SimNode) and other.me.serial != identities.SERIAL:
            try:
                self._check(other.me.der)
            except ValueError:
                return True
        return self.core.revoked.is_revoked(other.contact.tls_key) is not None

    def _check(self, der: bytes) -> NodeKeys:
        try:
            keys = keys_in(der)
        except UnknownIssuer:
            keys = keys_of(self.admissions.check(der))
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
        self.admissions = Admissions(self.site, trust, documents.get(ADMISSIONS, b""))
        known, applied = InForce(self.site), heads.state.applied
        known.start(
            documents.get(IN_FORCE, b""), heads.contents(), applied.order if applied else NO_STATE
        )
        self.admissions.use(known.branch)
        if known.branch.site and self.me.serial != identities.SERIAL:
            self.admissions.check(self.me.der)  # a box knows of itself whose place it takes
        registers = self.known_registers(self._check)
        me = Self(keys_of(self.me), self.core_boot, self.signer)
        membership = Membership(me, registers, now)
        config = PeerConfig(self.id, "node", self.site, self.core_boot, self._check)
        logs = Logs(self.disk.tails(), own=self.id)
        peer = Peer(config, heads, logs, membership, now)
        artifacts = Artifacts(
            Swarm(self.id), lambda: trust.keys("release"), peer.neighbours, peer.masters
        )
        facts = NodeFacts(
            certificate=self.me.der,
            peer_address=f"{self.id}:7400",
            labels={},
            capacity=Capacity(cores=self.cores, memory_bytes=4 * GIB, devices=["CPU"]),
            sources=self.sources,
            masters=(identities.MASTER,),
            moved=self.moved,
        )
        return NodeCore(
            peer,
            membership,
            artifacts,
            facts,
            now,
            read_kept(documents.get),
            self.admissions,
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
            unix_ms=max(0, self.world.now_ms + self.wall_offset_ms),
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

    def do_RemoveArtifact(self, i: Any) -> None:  # noqa: N802
        freed = self.disk.remove(i.artifact, i.with_manifest)
        self.later(5, lambda: self.feed(ArtifactRemoved(i.artifact, freed)))

    def do_FetchChunks(self, i: Any) -> None:  # noqa: N802
        def failed(fault: Fault) -> None:
            self.feed(ChunksFailed(i.artifact, i.chunks, i.source, fault))

        self.fetch(i, lambda chunk: self.feed(ChunkStored(i.artifact, chunk)), failed)

    def hold_back(self, draining: bool | None, reason: str = "") -> None:
        """An operator says at this node: cordoned, draining, or neither (None)."""
        asked = CordonAsked(draining is not None, bool(draining), reason, "ann")
        self.disk.documents[CORDON] = document(asked)
        self.feed(asked)
