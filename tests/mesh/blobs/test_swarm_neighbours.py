"""One swarm among neighbours: whom it asks, what it tells, whose turn it is over the WAN."""

from itertools import pairwise

import pytest

from mesh.blobs.instructions import (
    ArtifactComplete,
    Fault,
    FetchChunks,
    Instruction,
    TellClaim,
    TellHoldings,
)
from mesh.blobs.swarm import Swarm
from mesh.hashing import ranked
from protos.peer_pb2 import Claim
from tests.mesh.blobs.making import artifact_of
from tests.mesh.blobs.swarming import (
    CLAIM_WAIT,
    MASTER,
    ME,
    SETTLED,
    claims,
    fetches,
    holds,
    run,
    swarm_with,
    whole,
)

# -- neighbours --


def test_neighbours_are_asked_first_and_in_parts() -> None:
    swarm, artifact = swarm_with("n2", "n3"), artifact_of(100)
    for peer in ("n2", "n3"):
        assert swarm.holdings(peer, whole(artifact), 0) == []
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=False)
    assert set(asked) == {"n2", "n3"}
    assert max(len(chunks) for chunks in asked.values()) <= 32, "2 MiB of each"
    assert sum(len(chunks) for chunks in asked.values()) <= 64, "4 MiB together"
    assert fetches([i for _, i in run(swarm, SETTLED, SETTLED + 500)], wan=True) == {}


def test_the_rarest_chunks_come_first() -> None:
    swarm, artifact = swarm_with("n2", "n3", wan=False), artifact_of(100, chunk_bytes=1 << 20)
    swarm.holdings("n2", whole(artifact), 0)
    swarm.holdings("n3", holds(artifact, range(97)), 0)
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=False)
    assert len(asked["n2"]) == 2
    assert set(asked["n2"]) <= {97, 98, 99}


def test_slots_are_filled_again_when_half_of_them_are_free() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(100)
    swarm.holdings("n2", whole(artifact), 0)
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=False)["n2"]
    assert len(asked) == 32
    sizes = []
    for chunk in asked[:16]:
        more = swarm.stored(artifact.digest, chunk, SETTLED + 1)
        sizes.append(sum(len(chunks) for chunks in fetches(more, wan=False).values()))
    assert sizes == [0] * 15 + [16]


def test_a_corrupt_chunk_is_asked_of_another() -> None:
    swarm, artifact = swarm_with("n2", "n3"), artifact_of(1)
    for peer in ("n2", "n3"):
        swarm.holdings(peer, whole(artifact), 0)
    ((first, _),) = fetches(swarm.want(artifact, [], SETTLED), wan=False).items()
    said = swarm.failed(artifact.digest, [0], first, Fault.CORRUPT, SETTLED)
    assert fetches(said, wan=False) == {({"n2", "n3"} - {first}).pop(): [0]}


def test_three_corrupt_chunks_end_it_for_ten_minutes() -> None:
    swarm, artifact = swarm_with("n2", wan=False, sources=()), artifact_of(40)
    swarm.holdings("n2", whole(artifact), 0)
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=False)["n2"]
    said = swarm.failed(artifact.digest, asked, "n2", Fault.CORRUPT, SETTLED)
    assert fetches(said, wan=False) == {}
    when = [at for at, i in run(swarm, SETTLED, SETTLED + 700_000) if isinstance(i, FetchChunks)]
    assert when[0] in range(SETTLED + 600_000, SETTLED + 600_501)


def test_a_late_chunk_is_asked_of_a_second_neighbour_and_never_over_the_wan() -> None:
    swarm, artifact = swarm_with("n2", "n3"), artifact_of(1)
    for peer in ("n2", "n3"):
        swarm.holdings(peer, whole(artifact), 0)
    ((first, _),) = fetches(swarm.want(artifact, [], SETTLED), wan=False).items()
    said = run(swarm, SETTLED, SETTLED + 10_000)
    asked = [(at, i.source) for at, i in said if isinstance(i, FetchChunks)]
    assert len(asked) == 1
    assert asked[0][0] in range(SETTLED + 1000, SETTLED + 1251)
    assert asked[0][1] != first
    done = swarm.stored(artifact.digest, 0, SETTLED + 10_001)
    assert done[-1] == ArtifactComplete(artifact.digest)
    late = swarm.failed(artifact.digest, [0], first, Fault.SLOW, SETTLED + 10_002)
    assert late == []


def test_one_of_two_requests_for_a_chunk_may_fail() -> None:
    swarm, artifact = swarm_with("n2", "n3"), artifact_of(1)
    for peer in ("n2", "n3"):
        swarm.holdings(peer, whole(artifact), 0)
    ((first, _),) = fetches(swarm.want(artifact, [], SETTLED), wan=False).items()
    run(swarm, SETTLED, SETTLED + 1500)
    said = swarm.failed(artifact.digest, [0], first, Fault.SLOW, SETTLED + 1500)
    assert fetches(said, wan=False) == {}, "the other one is still under way"


def test_a_neighbour_that_goes_is_replaced_at_once() -> None:
    swarm, artifact = swarm_with("n2", "n3"), artifact_of(1)
    for peer in ("n2", "n3"):
        swarm.holdings(peer, whole(artifact), 0)
    ((first, _),) = fetches(swarm.want(artifact, [], SETTLED), wan=False).items()
    said = swarm.peer_down(first, SETTLED + 1)
    assert fetches(said, wan=False) == {({"n2", "n3"} - {first}).pop(): [0]}


def test_a_neighbour_that_fails_again_and_again_does_not_keep_the_wan_waiting() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.holdings("n2", whole(artifact), 0)
    swarm.want(artifact, [], SETTLED)
    now_ms = SETTLED
    sources: list[str] = []
    while MASTER not in sources and now_ms < SETTLED + 60_000:
        now_ms += 250
        for instruction in swarm.tick(now_ms):
            if isinstance(instruction, FetchChunks):
                sources.append(instruction.source)
        if MASTER not in sources:
            swarm.failed(artifact.digest, [0], "n2", Fault.UNREACHABLE, now_ms)
    assert sources[-1] == MASTER


# -- what is told to neighbours --


def test_a_new_neighbour_hears_what_is_held_and_claimed() -> None:
    swarm, one, two = swarm_with(), artifact_of(2, seed=1), artifact_of(2, seed=2)
    swarm.hold(one, 0)
    swarm.want(two, [], SETTLED)
    said = swarm.peer_up("n2", SETTLED)
    told = {i.holdings.artifact: i for i in said if isinstance(i, TellHoldings)}
    assert told[one.digest] == TellHoldings("n2", whole(one))
    assert told[two.digest] == TellHoldings("n2", holds(two, []))
    assert claims(said) == [([0, 1], 2000)]


def test_holdings_are_announced_in_batches() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(10)
    swarm.want(artifact, [], SETTLED)
    for chunk, now_ms in ((0, 2200), (1, 2210), (2, 2220)):
        said = swarm.stored(artifact.digest, chunk, now_ms)
        told = [i for i in said if isinstance(i, TellHoldings)]
        assert len(told) == (1 if chunk == 0 else 0)
    assert not [i for i in swarm.tick(2299) if isinstance(i, TellHoldings)]
    due = swarm.next_tick_ms(2299)
    assert due is not None
    assert due <= 2300
    told = [i for i in swarm.tick(2300) if isinstance(i, TellHoldings)]
    assert told == [TellHoldings(None, holds(artifact, [0, 1, 2]))]


# -- turns over the WAN --


def test_the_first_owner_fetches_and_the_next_waits_a_lease() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(4, seed=3)
    swarm.holdings("n2", holds(artifact, []), 0)
    order = {chunk: ranked(f"{artifact.digest.hex()}:{chunk}", [ME, "n2"])[0] for chunk in range(4)}
    mine = [chunk for chunk in range(4) if order[chunk] == ME]
    others = [chunk for chunk in range(4) if order[chunk] != ME]
    assert mine
    assert others
    swarm.want(artifact, [], SETTLED)
    said = run(swarm, SETTLED, SETTLED + 4000)
    when = {chunk: at for at, i in said if isinstance(i, FetchChunks) for chunk in i.chunks}
    assert all(when[chunk] <= SETTLED + 2 * CLAIM_WAIT for chunk in mine)
    assert all(SETTLED + 2000 <= when[chunk] <= SETTLED + 2500 for chunk in others)


def test_a_claimed_chunk_is_left_alone_until_the_claim_ends() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.claimed("n2", Claim(artifact=artifact.digest, chunks=[0], lease_ms=5000), SETTLED)
    swarm.want(artifact, [], SETTLED)
    said = run(swarm, SETTLED, SETTLED + 6000)
    when = [at for at, i in said if isinstance(i, FetchChunks)]
    assert when[0] in range(SETTLED + 5000, SETTLED + 5500)


def test_a_claim_given_up_is_taken_on_at_once() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    swarm.claimed("n2", Claim(artifact=artifact.digest, chunks=[0], lease_ms=5000), SETTLED)
    assert claims(swarm.tick(SETTLED + 100)) == []
    said = swarm.claimed("n2", Claim(artifact=artifact.digest, chunks=[0]), SETTLED + 200)
    assert claims(said) == [([0], 2000)]


@pytest.mark.parametrize("seed", range(6))
def test_of_two_that_claim_alike_one_yields(seed: int) -> None:
    artifact = artifact_of(1, seed=seed)
    pair = {name: Swarm(name) for name in ("n1", "n2")}
    said: dict[str, list[Instruction]] = {}
    for name, swarm in pair.items():
        swarm.members(pair, pair, 0)
        swarm.wan_sources([MASTER], 0)
        swarm.peer_up("n2" if name == "n1" else "n1", 0)
        swarm.want(artifact, [], SETTLED)
        said[name] = swarm.tick(SETTLED + CLAIM_WAIT)
        assert claims(said[name]) == [([0], 2000)], "each thinks that it is the only one"
    claim = Claim(artifact=artifact.digest, chunks=[0], lease_ms=2000)
    one = pair["n1"].claimed("n2", claim, SETTLED + CLAIM_WAIT + 1)
    other = pair["n2"].claimed("n1", claim, SETTLED + CLAIM_WAIT + 1)
    assert sorted([claims(one), claims(other)]) == [[], [([0], 0)]]


def test_a_fetch_that_has_begun_yields_to_nobody() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    swarm.tick(SETTLED + CLAIM_WAIT)
    assert fetches(swarm.tick(SETTLED + 2 * CLAIM_WAIT), wan=True) == {MASTER: [0]}
    claim = Claim(artifact=artifact.digest, chunks=[0], lease_ms=2000)
    assert swarm.claimed("n2", claim, SETTLED + 200) == []


def test_a_claim_is_renewed_while_the_fetch_lasts() -> None:
    swarm, artifact = swarm_with(), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    said = run(swarm, SETTLED, SETTLED + 10_000)
    when = [at for at, i in said if isinstance(i, TellClaim)]
    assert len(when) >= 8
    assert max(b - a for a, b in pairwise(when)) < 2000


def test_a_neighbour_that_gets_the_chunk_first_makes_the_claim_moot() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    swarm.tick(SETTLED + CLAIM_WAIT)
    said = swarm.holdings("n2", whole(artifact), SETTLED + CLAIM_WAIT + 1)
    assert fetches(said, wan=False) == {"n2": [0]}
    done = swarm.stored(artifact.digest, 0, SETTLED + CLAIM_WAIT + 9)
    assert done[-1] == ArtifactComplete(artifact.digest)


def test_what_a_neighbour_says_of_chunks_held_here_asks_for_nothing() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(8)
    swarm.want(artifact, range(4), SETTLED)
    swarm.holdings("n2", holds(artifact, [0]), SETTLED)
    assert swarm.holdings("n2", holds(artifact, [0, 1]), SETTLED) == []


def test_a_kept_claim_restores_trust_and_teaches_the_pace() -> None:
    swarm, artifact = swarm_with("n2", sources=()), artifact_of(8)
    swarm.holdings("n2", holds(artifact, []), 0)
    swarm.want(artifact, [], SETTLED)
    claim = Claim(artifact=artifact.digest, chunks=[0], lease_ms=5000)
    assert swarm.claimed("n2", claim, SETTLED) == []
    said = swarm.holdings("n2", holds(artifact, [0]), SETTLED + 4000)
    assert fetches(said, wan=False) == {"n2": [0]}


def test_what_neighbours_can_get_nowhere() -> None:
    swarm, artifact = swarm_with("n2", "n3", wan=False), artifact_of(4)
    assert swarm.stranded() == []
    swarm.holdings("n2", holds(artifact, []), 0)
    assert swarm.stranded() == [artifact.digest]
    swarm.members({ME, "n2", "n3"}, {ME, "n3"}, 0)
    assert swarm.stranded() == [artifact.digest]
    swarm.holdings("n3", holds(artifact, []), 0)
    assert swarm.stranded() == [], "one that fetches it has a WAN path"
    swarm.members({ME, "n2", "n3"}, {ME}, 0)
    assert swarm.stranded() == [artifact.digest]
    swarm.holdings("n3", whole(artifact), 0)
    assert swarm.stranded() == [], "one holds all of it"
