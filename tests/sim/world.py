"""A small world in virtual time: production cores, and an edge made of plain data.

Every message is encoded and decoded. Links keep the order of what is sent, as TCP does. They can be
cut, one direction at a time, swallow what is sent (a black hole), lose probes, delay and duplicate;
nodes can crash, restart from their disks, and freeze. One seed gives one history: nothing here
looks at a clock or draws a random number but the world's own.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

from mesh.blobs.instructions import Fault, FetchChunks
from mesh.events import (
    AcknowledgementsSigned,
    BatchesSent,
    BatchSaved,
    Contact,
    LinkDown,
    LinkUp,
    Received,
    Tick,
)
from mesh.exchange.frames import encode
from mesh.heads.certificates import Certified
from mesh.journals.acknowledgements import acknowledge
from protos.peer_pb2 import Documents, JournalBatches
from tests.sim import identities

TICK_MS = 150
LATENCY_MS = (1, 4)
PROBES = (b"\x32", b"\x3a")
"""First bytes of the frames `probe` and `probe_answer`: fields 6 and 7 of Frame."""
WAN_RETRY_MS = 1_000
DIAL_MS = 500


class World:
    """Hosts, the links between them, and the time."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.now_ms = 0
        self.hosts: dict[str, Any] = {}
        self.cut: set[tuple[str, str]] = set()
        self.linked: dict[frozenset[str], int] = {}
        self.latency_ms = LATENCY_MS
        self.probe_loss = 0.0
        self.duplicates = 0.0
        self.messages = 0
        self.bytes: dict[tuple[str, str], int] = {}
        self.chunk_bytes: dict[tuple[str, str], int] = {}
        self.faulty: dict[str, str] = {}  # model version -> how its gate fails: golden, crash
        self.pipeline_starts: list[tuple[int, str, str, list[str]]] = []
        self.trace: list[tuple[int, str, str]] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._busy_until: dict[tuple[str, str], int] = {}

    # ---- time ----

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Schedules an action."""
        self._number += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._number, action))

    def run(self, duration_ms: int) -> None:
        """Lets time pass."""
        end = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        self.now_ms = end

    def run_until(self, condition: Callable[[], bool], limit_ms: int, what: str = "") -> int:
        """Lets time pass until the condition holds; returns how long it took.

        Raises AssertionError if it does not hold within the limit.
        """
        start = self.now_ms
        while not condition():
            if self.now_ms - start >= limit_ms:
                raise AssertionError(f"{what or 'the condition'} did not hold within {limit_ms} ms")
            self.run(50)
        return self.now_ms - start

    # ---- links ----

    def reachable(self, one: str, other: str) -> bool:
        """Whether packets go from one to the other."""
        up = one in self.hosts and other in self.hosts
        return up and self.hosts[one].up and self.hosts[other].up and (one, other) not in self.cut

    def answers(self, one: str, other: str) -> bool:
        """Whether a dial from one to the other is answered: packets go both ways, nobody sleeps."""
        both = self.reachable(one, other) and self.reachable(other, one)
        return both and not self.hosts[other].frozen

    def connect(self, one: str, other: str, wan: bool) -> bool:
        """A dial from one to the other; whether a link stands now."""
        pair = frozenset((one, other))
        if pair in self.linked:
            return True
        here, there = self.hosts[one], self.hosts.get(other)
        if not self.answers(one, other) or there.refuses(here) or here.refuses(there):
            return False
        self._number += 1
        self.linked[pair] = self._number
        for here, there in ((one, other), (other, one)):
            contact = self.hosts[there].contact
            self.hosts[here].feed(LinkUp(contact, wan))
        return True

    def cut_off(self, one: str, other: str, both: bool = True) -> None:
        """Nothing goes from one to the other any more; links between them break."""
        self.cut.add((one, other))
        if both:
            self.cut.add((other, one))
        self.break_link(one, other)

    def swallow(self, one: str, other: str, both: bool = True) -> None:
        """A black hole: the link stands, and what goes from one to the other is lost."""
        self.cut.add((one, other))
        if both:
            self.cut.add((other, one))

    def mend(self, one: str, other: str) -> None:
        """Both directions work again."""
        self.cut -= {(one, other), (other, one)}

    def break_link(self, one: str, other: str) -> None:
        """Ends the link between two, if there is one."""
        pair = frozenset((one, other))
        if pair in self.linked:
            del self.linked[pair]
            for here, there in ((one, other), (other, one)):
                host = self.hosts.get(here)
                if host is not None and host.up:
                    host.feed(LinkDown(self.hosts[there].contact.name, "broken"))

    def send(self, source: str, target: str, data: bytes) -> None:
        """One frame, over the link, after a latency."""
        link = self.linked.get(frozenset((source, target)))
        if link is None:
            return
        self.messages += 1
        self.bytes[source, target] = self.bytes.get((source, target), 0) + len(data)
        if self.probe_loss and data[:1] in PROBES and self.random.random() < self.probe_loss:
            return

        def arrive() -> None:
            same = self.linked.get(frozenset((source, target))) == link
            if same and self.reachable(source, target):
                self.hosts[target].feed(Received(self.hosts[source].contact.name, data))

        for _ in range(2 if self.duplicates and self.random.random() < self.duplicates else 1):
            at_ms = max(self.now_ms + self._latency_ms(), self._busy_until.get((source, target), 0))
            self._busy_until[source, target] = at_ms
            self.after(at_ms - self.now_ms, arrive)

    def _latency_ms(self) -> int:
        low, high = self.latency_ms
        return low if low == high else self.random.randint(low, high)


class Host:
    """The edge of one peer: carries out instructions. `core` has `handle(event, now_ms)`.

    `name` is the machine's, `contact` says who it is: two machines may have one disk, or one ID.
    """

    place = ""
    """Where the machine is, if that is not named as who it is; to be set first."""

    def __init__(self, world: World, contact: Contact, disk: Any) -> None:
        self.world = world
        self.contact = contact
        self.name = self.place or contact.name
        self.disk = disk
        self.core: Any = None
        self.pipelines: dict[str, Any] = {}
        self.rate = 1.0
        self.up = False
        self.frozen = False
        self.wall_offset_ms = 0  # of its wall clock from the world's
        self._backlog: list[Any] = []
        self._life = 0
        world.hosts[self.name] = self

    # ---- life ----

    def start(self, core: Any) -> None:
        """Starts with a core that was made from the disk."""
        self.core = core
        self.up = True
        self._life += 1
        life = self._life

        def tick() -> None:
            if self.up and self._life == life:
                self.feed(Tick(wall_ms=self.world.now_ms + self.wall_offset_ms))
                self.on_tick()
                self.world.after(TICK_MS, tick)

        self.world.after(self.world.random.randint(1, TICK_MS), tick)

    def crash(self) -> None:
        """Power off: what is not on the disk is gone."""
        self.up = False
        self.core = None
        for other in list(self.world.hosts):
            self.world.break_link(self.name, other)

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP and SIGCONT: links stay, nothing is handled until it goes on."""
        self.frozen = frozen
        if not frozen:
            backlog, self._backlog = self._backlog, []
            for event in backlog:
                self.feed(event)

    def feed(self, event: Any) -> None:
        """Gives the core an event and carries out what follows."""
        if not self.up:
            return
        if self.frozen:
            if not isinstance(event, Tick):
                self._backlog.append(event)
            return
        self.carry(self.core.handle(event, self.clock_ms()))

    def clock_ms(self) -> int:
        """The monotonic clock of this machine, which runs at a `rate` of its own."""
        return int(self.world.now_ms * self.rate)

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Does something of the edge's own some time later."""
        self.world.after(delay_ms, action)

    def carry(self, instructions: Sequence[Any]) -> None:
        """Carries out what a core answered, in order."""
        for instruction in instructions:
            self.carry_out(instruction)

    def refuses(self, other: "Host") -> bool:
        """Whether the other end's certificate is refused here."""
        return False

    def on_tick(self) -> None:
        """What the edge does by time."""

    # ---- instructions ----

    def carry_out(self, instruction: Any) -> None:
        """Carries out one instruction, by its kind."""
        kind = type(instruction).__name__
        self.world.trace.append((self.world.now_ms, self.name, kind))
        getattr(self, "do_" + kind)(instruction)

    def do_Send(self, i: Any) -> None:  # noqa: N802
        self.world.send(self.name, i.peer, i.data)

    def do_Drop(self, i: Any) -> None:  # noqa: N802
        self.world.break_link(self.name, i.peer)

    def do_SaveDocument(self, i: Any) -> None:  # noqa: N802
        self.disk.documents[i.name] = i.data

    def do_SaveBlob(self, i: Any) -> None:  # noqa: N802
        self.disk.save_blob(i.data)

    def do_SendBlobs(self, i: Any) -> None:  # noqa: N802
        found = [self.disk.blobs[d] for d in i.digests if d in self.disk.blobs]
        missing = [d for d in i.digests if d not in self.disk.blobs]
        documents = Documents(blobs=found, missing_blobs=missing)
        self.world.send(self.name, i.peer, encode(documents=documents))

    def do_SaveBatch(self, i: Any) -> None:  # noqa: N802
        self.disk.append(i.batch)
        self.later(1, lambda: self.feed(BatchSaved(i.batch)))

    def do_SendBatches(self, i: Any) -> None:  # noqa: N802
        batches = self.disk.read(i.log, i.after)
        if batches:
            message = JournalBatches(batches=[batch.envelope for batch in batches])
            self.world.send(self.name, i.peer, encode(journal_batches=message))
        last = batches[-1].last if batches else i.after
        self.later(1, lambda: self.feed(BatchesSent(i.peer, i.log, last)))

    def do_Acknowledge(self, i: Any) -> None:  # noqa: N802
        envelopes = tuple(
            acknowledge(key, last, identities.MASTER, identities.signer("acks"))
            for key, last in i.tails
        )
        self.later(1, lambda: self.feed(AcknowledgementsSigned(envelopes)))

    def do_Notice(self, i: Any) -> None:  # noqa: N802
        """Notices of a bare peer end here."""

    def fetch(
        self, i: FetchChunks, done: Callable[[int], None], failed: Callable[[Fault], None]
    ) -> None:
        """Copies chunks from the source's disk, some time later."""
        source = self.world.hosts.get(i.source)

        def arrive() -> None:
            if source is None or not self.world.reachable(self.name, i.source):
                failed(Fault.UNREACHABLE)
                return
            for chunk in i.chunks:
                data = source.disk.chunks.get((i.artifact, chunk))
                if data is None:
                    failed(Fault.MISSING)
                    return
                self.disk.chunks[i.artifact, chunk] = data
                key = (i.source, self.name)
                self.world.chunk_bytes[key] = self.world.chunk_bytes.get(key, 0) + len(data)
                done(chunk)

        self.later(20, arrive)


def contact_of(name: str, site: str) -> Contact:
    """The contact of a node, or of the master where the site is empty."""
    if not site:
        return Contact(name, "master", "", b"m" * 32, identities.signer(name).public_key)
    return contact_shown(identities.certificate(identities.node_identity(site, name)))


def contact_shown(certified: Certified) -> Contact:
    """The contact of whoever shows a certificate."""
    identity = certified.identity
    keys = (certified.tls_key, certified.signing_key)
    return Contact(identity.name, identity.role, identity.site, *keys)
