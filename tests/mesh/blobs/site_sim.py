"""A site in virtual time: real swarms, encoded messages, a shared WAN, LAN uplinks, faults.

Deterministic for a seed. Times inside are microseconds; swarms see milliseconds. A chunk is not
moved as bytes: what matters is who asked whom for which, when it comes, and whether it is good.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.blobs.instructions import (
    ArtifactComplete,
    Fault,
    FetchChunks,
    Instruction,
    TellClaim,
    TellHoldings,
)
from mesh.blobs.manifest import Artifact
from mesh.blobs.swarm import Swarm
from protos.peer_pb2 import Claim, Holdings

MASTER = "master"
MESSAGE_BYTES_MAX = 256 * 1024


@dataclass
class Node:
    """One node: its swarm, its disk, and what the test made of it."""

    name: str
    swarm: Swarm
    wan: bool = True
    alive: bool = False
    corrupt: bool = False
    frozen_until: int = 0
    wanted: dict[bytes, Artifact] = field(default_factory=dict)
    stored: dict[bytes, set[int]] = field(default_factory=dict)
    complete: dict[bytes, int] = field(default_factory=dict)
    claimed: set[tuple[bytes, int]] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    uplink_free: int = 0
    uploaded: int = 0
    ticks: int | None = None


class Site:
    """Nodes, the LAN between them, and one WAN to the master."""

    def __init__(self, names: list[str], seed: int = 1, wan_rate: int = 2_500_000) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.nodes = {name: Node(name, Swarm(name)) for name in names}
        self.groups: dict[str, int] = {}
        """The part of a split that a node is in; all in part 0 otherwise."""
        self.wan_up = True
        self.wan_rate = wan_rate
        self.wan_latency = 50_000
        self.lan_rate = 100_000_000
        self._wan_free = 0
        self._wan_epoch = 0
        self.wan_bytes: Counter[tuple[bytes, str]] = Counter()
        self.bad_served: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.message_bytes = 0
        self.trace: list[str] | None = None
        """Every instruction, if a test sets a list."""

    # -- the clock --

    def after(self, delay_us: int, do: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay_us, self._sequence, do))

    def at_ms(self, ms: int, do: Callable[[], None]) -> None:
        self.after(ms * 1000 - self.now, do)

    def run(self, until_ms: int) -> None:
        while self._events and self._events[0][0] <= until_ms * 1000:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until_ms * 1000

    @property
    def ms(self) -> int:
        return self.now // 1000

    # -- what tests do --

    def start(self, name: str, artifact: Artifact | None = None) -> None:
        node = self.nodes[name]
        node.alive = True
        self._tell_members()
        self._sources(node)
        for other in self._alive():
            if other is not node and self._joined(node.name, other.name):
                self.after(self.rng.randrange(20_000, 200_000), self._linker(node, other))
        if artifact is not None:
            self.want(name, artifact)

    def start_all(self, artifact: Artifact | None = None) -> None:
        for name in self.nodes:
            self.start(name, artifact)

    def want(self, name: str, artifact: Artifact) -> None:
        node = self.nodes[name]
        node.wanted[artifact.digest] = artifact
        held = node.stored.setdefault(artifact.digest, set())
        self.do(node, node.swarm.want(artifact, held, self.ms))

    def forget(self, name: str, artifact: Artifact) -> None:
        node = self.nodes[name]
        node.wanted.pop(artifact.digest)
        self.do(node, node.swarm.forget(artifact.digest, self.ms))

    def crash(self, name: str, dead_after_ms: int = 5000) -> None:
        node = self.nodes[name]
        node.alive = False
        for other in self._alive():
            self._unlink(node, other, 100)
        self.after(dead_after_ms * 1000, self._tell_members)

    def split(self, groups: dict[str, int], dead_after_ms: int = 5000) -> None:
        """Nothing crosses from now on; each end notices after `dead_after_ms`."""
        self.groups = groups
        apart = self._apart()

        def noticed() -> None:
            for one, other in apart:
                if not self._joined(one.name, other.name):
                    self._unlink(one, other, 0)
            self._tell_members()

        self.after(dead_after_ms * 1000, noticed)

    def merge(self) -> None:
        """Links across the split, if they still stood, break: messages on them were lost."""
        for one, other in self._apart():
            self._unlink(one, other, 0)
            self.after(self.rng.randrange(20_000, 200_000), self._linker(one, other))
        self.groups = {}
        self._tell_members()

    def _apart(self) -> list[tuple[Node, Node]]:
        alive = self._alive()
        return [
            (one, other)
            for one in alive
            for other in alive
            if one.name < other.name and not self._joined(one.name, other.name)
        ]

    def cut_wan(self, known_after_ms: int = 1000) -> None:
        self.wan_up = False
        self._wan_epoch += 1
        self._wan_free = self.now
        self.after(known_after_ms * 1000, self._wan_changed)

    def restore_wan(self) -> None:
        self.wan_up = True
        self._wan_changed()

    def freeze(self, name: str, for_ms: int) -> None:
        """The node's loop stalls: its input waits, its timers fire late."""
        self.nodes[name].frozen_until = self.now + for_ms * 1000

    def say(self, name: str, message: Holdings | Claim) -> None:
        """A node says what its swarm would not."""
        self._send(self.nodes[name], None, message)

    def ratio(self, artifact: Artifact, but: str = "") -> float:
        """What came over the WAN, over the artifact's bytes; not counting the node `but`."""
        came = sum(
            self.wan_bytes[artifact.digest, name] for name in sorted(self.nodes) if name != but
        )
        return came / artifact.total_bytes

    def incomplete(self, artifact: Artifact) -> list[str]:
        return [
            node.name
            for node in self._alive()
            if artifact.digest in node.wanted and artifact.digest not in node.complete
        ]

    # -- membership --

    def _alive(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def _joined(self, one: str, other: str) -> bool:
        return self.groups.get(one, 0) == self.groups.get(other, 0)

    def _tell_members(self) -> None:
        for node in self._alive():
            self.after(self.rng.randrange(1_000, 300_000), lambda node=node: self._members(node))

    def _members(self, node: Node) -> None:
        seen = [other for other in self._alive() if self._joined(node.name, other.name)]
        live = {other.name for other in seen}
        wan = {other.name for other in seen if other.wan and self.wan_up}
        self.do(node, node.swarm.members(live, wan, self.ms))

    def _wan_changed(self) -> None:
        for node in self._alive():
            self.after(self.rng.randrange(1_000, 300_000), lambda node=node: self._sources(node))
        self._tell_members()

    def _sources(self, node: Node) -> None:
        sources = [MASTER] if node.wan and self.wan_up else []
        self.do(node, node.swarm.wan_sources(sources, self.ms))

    def _linker(self, one: Node, other: Node) -> Callable[[], None]:
        def link() -> None:
            if one.alive and other.alive and self._joined(one.name, other.name):
                one.links.add(other.name)
                other.links.add(one.name)
                self.do(one, one.swarm.peer_up(other.name, self.ms))
                self.do(other, other.swarm.peer_up(one.name, self.ms))

        return link

    def _unlink(self, one: Node, other: Node, after_ms: int) -> None:
        def down(node: Node, peer: str) -> None:
            if peer in node.links:
                node.links.discard(peer)
                self.do(node, node.swarm.peer_down(peer, self.ms))

        self.after(after_ms * 1000, lambda: down(one, other.name))
        self.after(after_ms * 1000, lambda: down(other, one.name))

    # -- carrying out --

    def do(self, node: Node, instructions: list[Instruction]) -> None:
        if not node.alive:
            return
        for instruction in instructions:
            if self.trace is not None:
                self.trace.append(f"{self.now} {node.name} {instruction}")
            match instruction:
                case TellHoldings(peer, holdings):
                    self._send(node, peer, holdings)
                case TellClaim(claim):
                    self._note_claims(node, claim)
                    self._send(node, None, claim)
                case FetchChunks(source, artifact, chunks, wan):
                    self._fetch(node, source, artifact, chunks, wan)
                case ArtifactComplete(artifact):
                    assert len(node.stored[artifact]) == len(node.wanted[artifact].chunks)
                    node.complete[artifact] = self.ms
        self._schedule(node)

    def _schedule(self, node: Node) -> None:
        due = node.swarm.next_tick_ms(self.ms)
        if due is None or (node.ticks is not None and self.ms < node.ticks <= due):
            return
        node.ticks = due
        self.at_ms(due, lambda: self._tick(node, due))

    def _tick(self, node: Node, due: int) -> None:
        if not node.alive or node.ticks != due:
            return
        if node.frozen_until > self.now:
            self.after(node.frozen_until - self.now, lambda: self._tick(node, due))
            return
        node.ticks = None
        self.do(node, node.swarm.tick(self.ms))

    def _note_claims(self, node: Node, claim: Claim) -> None:
        for chunk in claim.chunks:
            key = (claim.artifact, chunk)
            if claim.lease_ms:
                node.claimed.add(key)
            else:
                node.claimed.discard(key)

    def _send(self, node: Node, peer: str | None, message: Holdings | Claim) -> None:
        data = message.SerializeToString()
        assert len(data) <= MESSAGE_BYTES_MAX
        kind = type(message)
        for name in sorted(node.links) if peer is None else [peer]:
            self.messages[node.name] += 1
            self.message_bytes += len(data)
            delay = self.rng.randrange(300, 3_000)
            self.after(delay, lambda name=name: self._deliver(node.name, name, kind, data))

    def _deliver(self, sender: str, name: str, kind: type, data: bytes) -> None:
        node = self.nodes[name]
        if not node.alive or sender not in node.links or not self._joined(sender, name):
            return
        if node.frozen_until > self.now:
            wait = node.frozen_until - self.now
            self.after(wait, lambda: self._deliver(sender, name, kind, data))
            return
        message = kind.FromString(data)
        if isinstance(message, Holdings):
            self.do(node, node.swarm.holdings(sender, message, self.ms))
        else:
            self.do(node, node.swarm.claimed(sender, message, self.ms))

    # -- chunks --

    def _fetch(
        self, node: Node, source: str, artifact: bytes, chunks: tuple[int, ...], wan: bool
    ) -> None:
        assert wan == (source == MASTER)
        assert len(chunks) == len(set(chunks)) <= 64
        if wan:
            assert all((artifact, chunk) in node.claimed for chunk in chunks)
            self.after(self.wan_latency, lambda: self._serve_wan(node, artifact, chunks))
        else:
            self.after(1000, lambda: self._serve_lan(node, source, artifact, chunks))

    def _serve_wan(self, node: Node, artifact: bytes, chunks: tuple[int, ...]) -> None:
        if not self.wan_up:
            self._fail(node, artifact, chunks, MASTER, Fault.UNREACHABLE, 1_000_000)
            return
        known = node.wanted.get(artifact)
        epoch = self._wan_epoch
        for chunk in chunks if known is not None else ():
            length = known.chunks[chunk].length
            self._wan_free = max(self._wan_free, self.now) + length * 1_000_000 // self.wan_rate
            delay = self._wan_free - self.now + self.wan_latency
            self.after(delay, lambda c=chunk: self._came_by_wan(node, artifact, c, epoch))

    def _came_by_wan(self, node: Node, artifact: bytes, chunk: int, epoch: int) -> None:
        if epoch != self._wan_epoch:
            self._fail(node, artifact, (chunk,), MASTER, Fault.UNREACHABLE, 0)
            return
        known = node.wanted.get(artifact)
        if known is not None:
            self.wan_bytes[artifact, node.name] += known.chunks[chunk].length
        self._store(node, artifact, chunk)

    def _serve_lan(self, node: Node, source: str, artifact: bytes, chunks: tuple[int, ...]) -> None:
        server = self.nodes[source]
        if not server.alive or not self._joined(node.name, source):
            self._fail(node, artifact, chunks, source, Fault.UNREACHABLE, 2_000_000)
            return
        for chunk in chunks:
            if server.corrupt:
                self.bad_served[source] += 1
                self._fail(node, artifact, (chunk,), source, Fault.CORRUPT, 1000)
            elif chunk not in server.stored.get(artifact, ()):
                self._fail(node, artifact, (chunk,), source, Fault.MISSING, 1000)
            else:
                self._serve_one(node, server, artifact, chunk)

    def _serve_one(self, node: Node, server: Node, artifact: bytes, chunk: int) -> None:
        known = node.wanted.get(artifact)
        if known is None:
            return
        length = known.chunks[chunk].length
        server.uploaded += length
        server.uplink_free = max(server.uplink_free, self.now)
        server.uplink_free += length * 1_000_000 // self.lan_rate

        def came() -> None:
            if server.alive and self._joined(node.name, server.name):
                self._store(node, artifact, chunk)
            else:
                self._fail(node, artifact, (chunk,), server.name, Fault.UNREACHABLE, 0)

        self.after(server.uplink_free - self.now + 500, came)

    def _store(self, node: Node, artifact: bytes, chunk: int) -> None:
        if not node.alive or artifact not in node.wanted:
            return
        if node.frozen_until > self.now:
            wait = node.frozen_until - self.now
            self.after(wait, lambda: self._store(node, artifact, chunk))
            return
        node.stored[artifact].add(chunk)
        self.do(node, node.swarm.stored(artifact, chunk, self.ms))

    def _fail(
        self,
        node: Node,
        artifact: bytes,
        chunks: tuple[int, ...],
        source: str,
        fault: Fault,
        delay_us: int,
    ) -> None:
        def report() -> None:
            if node.alive:
                self.do(node, node.swarm.failed(artifact, chunks, source, fault, self.ms))

        self.after(delay_us, report)
