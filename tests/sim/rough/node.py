"""A node on a rough machine: its agent and its runtime fail apart from each other."""

from collections.abc import Callable
from typing import Any

from mesh.blobs.instructions import Fault
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    ChunksFailed,
    ChunkStored,
    DiskRoom,
    Trouble,
    WanPath,
)
from mesh.core.node import NodeCore
from mesh.core.rollouts import ROLLOUTS
from mesh.events import BatchSaved, DialFailed, Instruction, WriteJournal
from mesh.heads.certificates import Certified
from mesh.journals.batches import Batch
from mesh.journals.entries import make_entry
from mesh.registers.store import NodeKeys, Registers
from mesh.signed import Signer
from node.agent import book
from node.agent.backoff import Backoff
from node.agent.links import LAN_RETRY_FIRST_S, retry_max_s
from node.agent.wan import RETRY_FIRST_S, STEP_DOWN_S
from protos.documents_pb2 import JournalEntry, StableRegister
from tests.sim import identities
from tests.sim.checks.facts import Collected, CoreStarted
from tests.sim.nodes import SimNode
from tests.sim.rough.lies import told
from tests.sim.rough.runtime import RoughRuntime
from tests.sim.rough.world import RoughWorld

TELL_MS = 4
RUNTIME_STARTS_MS = 3_000
JOURNAL_RETRY_MS = 2_000
REMEMBER_MS = 5_000
CHECK_FIRST_MS, CHECK_SOON_MS, CHECK_BACK_MS, CHECK_MS = 3_000, 300, 5_000, 300_000
"""As in node/agent/wan.py."""
WAN_RETRY_MAX_S = 30.0
DIAL_TIMEOUT_MS = 2_000
FETCH_TIMEOUT_MS = 3_000
FULL = "no space left on device"
Who = tuple[Certified, Signer]


class RoughNode(RoughRuntime):
    """A machine of the site. Its agent lives in `core`, its runtime in `runs` and `pipelines`."""

    def __init__(
        self,
        world: RoughWorld,
        name: str,
        cores: int,
        sources: tuple[str, ...] = (),
        who: Who | None = None,
    ) -> None:
        """`who` it is, if not the node of its name with the keys that it always has."""
        self.place, self._who = name, who
        self.nonces: set[bytes] = set()
        self.make_rough()
        self.make_runtime()
        self.lies = ""
        self._entries: dict[str, list[JournalEntry]] = {}
        self._writing = False
        self._dials: dict[str, tuple[int, Backoff]] = {}
        self._wan_backoff = self._backoff(RETRY_FIRST_S, WAN_RETRY_MAX_S)
        self._gateway: str | None = None
        self._check_ms = 0
        self._remembered_ms = 0
        SimNode.__init__(self, world, "south", who[0].identity.name if who else name, sources)
        self.cores = cores

    def identity(self) -> Who:
        """Who it is, by its certificate, and what it signs with."""
        return self._who or SimNode.identity(self)

    def _backoff(self, first_s: float, max_s: float) -> Backoff:
        return Backoff(first_s, max_s, lambda low, high: self.world.random.uniform(low, high))

    # ---- life ----

    def boot(self) -> None:
        """The machine starts."""
        self.world.note(self.name, "boots")
        self.on, self.runtime_up, self.runtime_frozen = True, True, False
        self.new_clock()
        self.runs, self.pipelines, self.deadlines = {}, {}, {}
        self.start_agent()

    def power_off(self) -> None:
        """The machine dies, with all that runs on it."""
        self.tell_what_served()
        self.crash()
        self.on, self.runtime_up = False, False
        self.runs, self.pipelines, self.deadlines = {}, {}, {}

    def start_agent(self) -> None:
        """Starts the agent, which adopts what runs."""
        self._newest, self._applied, self._entries, self._writing = None, None, {}, False
        self._dials, self._remembered_ms, self._gateway = {}, 0, None
        self._wan_backoff.reset()
        self._wan_ms = self.clock_ms()
        self._check_ms = self._wan_ms + self.world.random.randint(0, CHECK_FIRST_MS)
        SimNode.start_agent(self)
        self.nonces.add(self.core_boot.nonce)
        if not self.up:
            return  # it was doomed, and died of its first words
        heads = self.core.peer.heads
        started = CoreStarted(
            self.world.now_ms,
            self.name,
            heads.state.floor,
            heads.trust.generation,
            (self.core.in_force.generation, self.core.in_force.counter),
        )
        self.world.watch(started)
        self.do_WriteJournal(_first_words(self.name))

    def _core(self) -> NodeCore:
        core = SimNode._core(self)
        publish = core.peer.publish

        def say(content: StableRegister, now_ms: int) -> list[Instruction]:
            return publish(told(self.lies, content, core.branch.plan), now_ms)

        core.peer.publish = say  # type: ignore[method-assign]
        return core

    def lie(self, what: str) -> None:
        """From now on its registers say that; "" for the truth."""
        self.lies = what
        if self.up and not self.frozen:
            self.carry(self.core.publish(self.clock_ms()))

    def known_registers(self, check: Callable[[bytes], NodeKeys]) -> Registers:
        """Those that the agent remembers from its last life."""
        registers = SimNode.known_registers(self, check)
        book.recall(self.disk.documents.get(book.REMEMBERED), registers, self.id)
        return registers

    # ---- the edge, by time ----

    def on_tick(self) -> None:
        """Dials neighbours and a master, and remembers who was seen."""
        now = self.clock_ms()
        for name in self._unlinked():
            self._dial(name, now)
        self._keep_wan(now)
        if now - self._remembered_ms >= REMEMBER_MS and not self.disk_refuses:
            self._remembered_ms = now
            self.disk.documents[book.REMEMBERED] = book.remember(self.core.membership.registers)

    def _unlinked(self) -> list[str]:
        """The machines of the site under whose ID this node has no link; mDNS, or its book, tells
        of them."""
        links, hosts = self.core.peer.links, self.world.hosts
        here = (self.id, identities.MASTER)
        linked = {*links, *here}
        return sorted(n for n, host in hosts.items() if host.contact.name not in linked)

    def _dial(self, other: str, now: int) -> None:
        due, backoff = self._dials.get(other, (0, None))
        if now < due:
            return
        most_s = retry_max_s(len(self.world.hosts) - len((self.id, identities.MASTER)))
        backoff = backoff or self._backoff(LAN_RETRY_FIRST_S, most_s)
        if self.world.connect(self.name, other, wan=False):
            self._dials[other] = (0, self._backoff(LAN_RETRY_FIRST_S, most_s))
            return
        there = self.world.hosts[other]
        refused = there.on and not there.up and not self._is_cut(other)
        took = 1 if refused else DIAL_TIMEOUT_MS
        self._dials[other] = (now + took + int(backoff.next_s() * 1000), backoff)
        self.later(took, lambda: self._dial_failed(other))

    def _dial_failed(self, other: str) -> None:
        peer = self.world.hosts[other].contact.name
        if peer not in self.core.peer.links:
            self.feed(DialFailed(peer, "no answer"))

    def _is_cut(self, other: str) -> bool:
        cut = self.world.cut
        return (self.name, other) in cut or (other, self.name) in cut

    def _keep_wan(self, now: int) -> None:
        """As node/agent/wan.py: the gateway holds the link, others step down after a while."""
        linked = frozenset((self.name, identities.MASTER)) in self.world.linked
        gateway = self.core.peer.gateway()
        if gateway != self._gateway and not linked:
            if self.core.wan:
                self._check_ms = now + self.world.random.randint(0, CHECK_SOON_MS)
            elif self._gateway is None:
                self._check_ms = now + self.world.random.randint(0, CHECK_BACK_MS)
        self._gateway = gateway
        wants = self.core.wants_wan_link()
        if wants or not linked:
            self._wan_held_ms = now
        if not linked and (now >= self._check_ms or (wants and now >= self._wan_ms)):
            self._check_ms = now + CHECK_MS
            self._dial_master(now)
        elif linked and now - self._wan_held_ms > STEP_DOWN_S * 1000:
            self.world.break_link(self.name, identities.MASTER)

    def _dial_master(self, now: int) -> None:
        up = self.world.connect(self.name, identities.MASTER, wan=True)
        if up:
            self._wan_backoff.reset()
        self._wan_ms = now + int(self._wan_backoff.next_s() * 1000)

        def tell() -> None:
            if up or frozenset((self.name, identities.MASTER)) not in self.world.linked:
                self.feed(WanPath(up, "dialled"))  # else a later dial was quicker

        self.later(1 if up else DIAL_TIMEOUT_MS, tell)

    # ---- the journal ----

    def do_WriteJournal(self, i: Any) -> None:  # noqa: N802
        entry = make_entry(
            i.event,
            i.subject,
            i.cause,
            i.fields,
            unix_ms=self.wall_ms(),
            monotonic_ms=self.world.now_ms,
        )
        self._entries.setdefault(i.kind, []).append(entry)
        if not self._writing:
            self._writing = True
            self.later(0, self._sign)

    def _sign(self) -> None:
        entries, self._entries = self._entries, {}
        batches = [
            batch for kind in sorted(entries) for batch in self.writers[kind].batches(entries[kind])
        ]
        self._put(batches)

    def _put(self, batches: list[Batch]) -> None:
        """As node/agent/journal.py: what the disk refuses is kept as it is and tried again."""

        def put() -> None:
            if self.disk_refuses:
                self.feed(Trouble("DataFolder", "journal", FULL, "critical"))
                self.later(JOURNAL_RETRY_MS, put)
                return
            for batch in batches:
                self.disk.append(batch)
            self.feed(Trouble("DataFolder", "journal", "", "critical"))
            life = self.life
            for batch in batches:
                if self.life == life:
                    self.feed(BatchSaved(batch))
            self._writing = bool(self._entries)
            if self._writing:
                self.later(0, self._sign)

        self.later(self.disk_ms(), put)

    # ---- artifacts ----

    def do_BeginArtifact(self, i: Any) -> None:  # noqa: N802
        def begin() -> None:
            if self.disk_refuses:
                self.feed(ArtifactFailed(i.artifact.digest, FULL, full=True))
            else:
                self.feed(ArtifactBegun(i.artifact.digest, self.disk.held(i.artifact)))

        self.later(self.disk_ms(), begin)

    def do_FinishArtifact(self, i: Any) -> None:  # noqa: N802
        def finish() -> None:
            if self.disk_refuses:
                self.feed(ArtifactFailed(i.artifact, FULL, full=True))
            else:
                self.disk.complete.add(i.artifact)
                self.feed(ArtifactFinished(i.artifact))

        self.later(self.disk_ms(), finish)

    def do_RemoveArtifact(self, i: Any) -> None:  # noqa: N802
        self.world.watch(self._collected(i.artifact))

        def remove() -> None:
            if self.disk_refuses:
                self.disk.complete.discard(i.artifact)
                self.feed(ArtifactRemoved(i.artifact, 0, FULL))
            else:
                freed = self.disk.remove(i.artifact, i.with_manifest)
                self.feed(ArtifactRemoved(i.artifact, freed))

        self.later(self.disk_ms(), remove)

    def _collected(self, artifact: bytes) -> Collected:
        hosts = [host for name, host in self.world.hosts.items() if name not in self.world.former]
        nodes = [host for host in hosts if isinstance(host, RoughNode)]
        good = [node.name for node in nodes if artifact in _last_good(node)]
        holders = [node.name for node in nodes if node is not self and node.disk.whole(artifact)]
        counter = self.core.in_force.counter
        return Collected(
            self.world.now_ms, self.name, artifact, counter, frozenset(good), frozenset(holders)
        )

    def short_of_room(self, short: bool) -> None:
        """As node/agent/housekeeping.py."""
        self.feed(DiskRoom(short))

    def do_FetchChunks(self, i: Any) -> None:  # noqa: N802
        machine = self.world.machine(self.name, i.source)
        source = self.world.hosts[machine]

        def fetch() -> None:
            if not self.world.accepts(self.name, machine):
                late = self._is_cut(machine) or source.frozen
                fault = ChunksFailed(i.artifact, i.chunks, i.source, Fault.UNREACHABLE)
                self.later(FETCH_TIMEOUT_MS if late else 1, lambda: self.feed(fault))
                return
            for place, chunk in enumerate(i.chunks):
                data = source.disk.chunks.get((i.artifact, chunk))
                if data is None:
                    left = i.chunks[place:]
                    self.feed(ChunksFailed(i.artifact, left, i.source, Fault.MISSING))
                    return
                if self.disk_refuses:
                    self.feed(ArtifactFailed(i.artifact, FULL, full=True))
                    return
                self.disk.chunks[i.artifact, chunk] = data
                self.feed(ChunkStored(i.artifact, chunk))
                if not self.up:
                    return

        self.later(20, fetch)


def _last_good(node: RoughNode) -> set[bytes]:
    """The artifacts of the newest good versions, as the node's disk knows them."""
    kept = StableRegister.FromString(node.disk.documents.get(ROLLOUTS, b""))
    return {good.artifact for good in {good.name: good for good in kept.last_good}.values()}


def _first_words(name: str) -> WriteJournal:
    return WriteJournal("record", "node.started", name, "")
