"""Any sequence of events, hostile ones among them: nothing is raised, and the rules hold."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.blobs.instructions import Fault, FetchChunks, Instruction, TellClaim, TellHoldings
from mesh.blobs.swarm import Swarm
from mesh.blobs.swarm_limits import DEFAULT_LIMITS, REQUEST_CHUNKS_MAX
from protos.peer_pb2 import Claim, Holdings
from tests.mesh.blobs.making import artifact_of

ARTIFACTS = [artifact_of(chunks, seed=chunks) for chunks in (1, 9, 70)]
PEERS = ["n0", "n2", "n3", "n4"]
SOURCES = ["m1", "m2"]


class Checked:
    """A swarm driven at random, and the rules that its instructions keep."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.swarm = Swarm("n1")
        self.now_ms = 0
        self.asked: list[tuple[FetchChunks, int]] = []
        self.claimed: set[tuple[bytes, int]] = set()
        self.swarm.members([*PEERS[:3], "n1"], [*PEERS[:2], "n1"], 0)
        self.swarm.wan_sources(SOURCES, 0)

    def step(self) -> None:
        self.now_ms += self.rng.choice([0, 1, 20, 100, 300, 5000, 40_000])
        events = [self._members, self._link, self._word, self._claim, self._want, self._drop]
        events += [self._report] * 6 + [self._tick] * 3
        self.check(self.rng.choice(events)())

    def check(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, TellClaim):
                self._check_claim(instruction.claim)
            elif isinstance(instruction, FetchChunks):
                self._check_fetch(instruction)
            elif isinstance(instruction, TellHoldings):
                assert instruction.peer is None or instruction.peer in PEERS
        due = self.swarm.next_tick_ms(self.now_ms)
        assert due is None or self.now_ms <= due <= self.now_ms + DEFAULT_LIMITS.poll_ms

    def _check_claim(self, claim: Claim) -> None:
        assert 1 <= len(claim.chunks) <= REQUEST_CHUNKS_MAX
        keys = {(claim.artifact, chunk) for chunk in claim.chunks}
        self.claimed = self.claimed | keys if claim.lease_ms else self.claimed - keys

    def _check_fetch(self, fetch: FetchChunks) -> None:
        known = next(a for a in ARTIFACTS if a.digest == fetch.artifact)
        assert 1 <= len(fetch.chunks) <= REQUEST_CHUNKS_MAX
        assert all(0 <= chunk < len(known.chunks) for chunk in fetch.chunks)
        assert fetch.wan == (fetch.source in SOURCES)
        if fetch.wan:
            assert all((fetch.artifact, chunk) in self.claimed for chunk in fetch.chunks)
        self.asked += [(fetch, chunk) for chunk in fetch.chunks]

    def _members(self) -> list[Instruction]:
        if self.rng.random() < 0.5:
            some = self.rng.sample(SOURCES, self.rng.randrange(3))
            return self.swarm.wan_sources(some, self.now_ms)
        live = ["n1", *self.rng.sample(PEERS, self.rng.randrange(5))]
        return self.swarm.members(live, live[: self.rng.randrange(6)], self.now_ms)

    def _link(self) -> list[Instruction]:
        change = self.rng.choice([self.swarm.peer_up, self.swarm.peer_up, self.swarm.peer_down])
        return change(self.rng.choice(PEERS), self.now_ms)

    def _word(self) -> list[Instruction]:
        message = Holdings(artifact=self._digest(), complete=self.rng.random() < 0.2)
        message.bitmap = self.rng.randbytes(self.rng.choice([0, 1, 2, 9, 9, 700]))
        return self.swarm.holdings(self.rng.choice(PEERS), message, self.now_ms)

    def _claim(self) -> list[Instruction]:
        chunks = [self.rng.choice([0, 3, 69, 70, 2**32 - 1]) for _ in range(self.rng.randrange(80))]
        lease = self.rng.choice([0, 1, 2000, 2**32 - 1])
        message = Claim(artifact=self._digest(), chunks=chunks, lease_ms=lease)
        return self.swarm.claimed(self.rng.choice(PEERS), message, self.now_ms)

    def _want(self) -> list[Instruction]:
        artifact = self.rng.choice(ARTIFACTS)
        held = [self.rng.randrange(-1, 80) for _ in range(self.rng.randrange(4))]
        return self.swarm.want(artifact, held, self.now_ms)

    def _drop(self) -> list[Instruction]:
        artifact = self.rng.choice(ARTIFACTS)
        if self.rng.random() < 0.5:
            return self.swarm.hold(artifact, self.now_ms)
        return self.swarm.forget(artifact.digest, self.now_ms)

    def _report(self) -> list[Instruction]:
        if not self.asked:
            return []
        fetch, chunk = self.asked.pop(self.rng.randrange(len(self.asked)))
        if self.rng.random() < 0.6:
            return self.swarm.stored(fetch.artifact, chunk, self.now_ms)
        fault = self.rng.choice(list(Fault))
        return self.swarm.failed(fetch.artifact, [chunk], fetch.source, fault, self.now_ms)

    def _tick(self) -> list[Instruction]:
        return self.swarm.tick(self.now_ms)

    def _digest(self) -> bytes:
        return self.rng.choice([artifact.digest for artifact in ARTIFACTS] + [b"", b"x" * 32])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_any_events_in_any_order(seed: int) -> None:
    checked = Checked(seed)
    for _ in range(120):
        checked.step()
