"""One swarm, event by event: what it says, what it asks for, what it does not believe."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from mesh.blobs import bitmaps
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
from mesh.hashing import ranked
from protos.peer_pb2 import Claim, Holdings
from tests.mesh.blobs.making import artifact_of

ME, MASTER = "n1", "master"
SETTLED = 2000
CLAIM_WAIT = 50


def swarm_with(*neighbours: str, wan: bool = True, sources: tuple[str, ...] = (MASTER,)) -> Swarm:
    """A swarm past its settling time, linked to neighbours that all have a WAN path."""
    swarm = Swarm(ME)
    everybody = {ME, *neighbours}
    assert swarm.members(everybody, everybody if wan else {ME}, 0) == []
    assert swarm.wan_sources(sources, 0) == []
    for peer in neighbours:
        swarm.peer_up(peer, 0)
    return swarm


def holds(artifact: Artifact, chunks: Iterable[int]) -> Holdings:
    count = len(artifact.chunks)
    bitmap = bitmaps.to_bytes(bitmaps.of(chunks), count)
    return Holdings(artifact=artifact.digest, bitmap=bitmap)


def whole(artifact: Artifact) -> Holdings:
    return Holdings(artifact=artifact.digest, complete=True)


def fetches(instructions: list[Instruction], wan: bool) -> dict[str, list[int]]:
    asked: dict[str, list[int]] = {}
    for instruction in instructions:
        if isinstance(instruction, FetchChunks) and instruction.wan == wan:
            asked.setdefault(instruction.source, []).extend(instruction.chunks)
    return {source: sorted(chunks) for source, chunks in asked.items()}


def claims(instructions: list[Instruction]) -> list[tuple[list[int], int]]:
    told = [i.claim for i in instructions if isinstance(i, TellClaim)]
    return [(list(claim.chunks), claim.lease_ms) for claim in told]


def run(swarm: Swarm, start_ms: int, end_ms: int) -> list[tuple[int, Instruction]]:
    """Ticks when due, carrying nothing out."""
    said: list[tuple[int, Instruction]] = []
    now_ms = start_ms
    while now_ms <= end_ms:
        said += [(now_ms, instruction) for instruction in swarm.tick(now_ms)]
        due = swarm.next_tick_ms(now_ms)
        if due is None:
            break
        now_ms = max(due, now_ms + 1)
    return said


# -- alone --


def test_a_node_alone_claims_and_fetches_the_window() -> None:
    swarm, artifact = swarm_with(), artifact_of(10)
    said = swarm.want(artifact, [], SETTLED)
    assert [type(i) for i in said] == [TellHoldings, TellClaim, FetchChunks]
    (asked,) = fetches(said, wan=True).values()
    assert len(asked) == 4
    assert claims(said) == [(asked, 2000)]
    more = swarm.stored(artifact.digest, asked[0], SETTLED + 100)
    assert len(fetches(more, wan=True)[MASTER]) == 1


def test_nothing_goes_over_the_wan_before_neighbours_could_be_found() -> None:
    swarm, artifact = swarm_with(), artifact_of(1)
    assert [type(i) for i in swarm.want(artifact, [], 10)] == [TellHoldings]
    said = run(swarm, 10, SETTLED + 1000)
    assert next(when for when, i in said if isinstance(i, FetchChunks)) in range(2000, 2251)


def test_without_members_nothing_goes_over_the_wan() -> None:
    swarm = Swarm(ME)
    swarm.wan_sources([MASTER], 0)
    said = swarm.want(artifact_of(1), [], 10_000)
    assert [type(i) for i in said] == [TellHoldings]


def test_the_last_chunk_completes() -> None:
    swarm, artifact = swarm_with(), artifact_of(2)
    swarm.want(artifact, [1], SETTLED)
    said = swarm.stored(artifact.digest, 0, SETTLED + 1)
    assert said == [TellHoldings(None, whole(artifact)), ArtifactComplete(artifact.digest)]
    assert swarm.stored(artifact.digest, 0, SETTLED + 2) == []
    assert swarm.next_tick_ms(SETTLED + 2) is None
    assert swarm.want(artifact, [0, 1], SETTLED + 3) == [], "it holds already"


def test_what_is_held_whole_already_completes_at_once() -> None:
    swarm, artifact = swarm_with(), artifact_of(2)
    said = swarm.want(artifact, [0, 1, 77], 0)
    assert said == [TellHoldings(None, whole(artifact)), ArtifactComplete(artifact.digest)]


def test_what_was_complete_and_lost_a_chunk_starts_anew() -> None:
    swarm, artifact = swarm_with(), artifact_of(3)
    assert swarm.hold(artifact, 0) == [TellHoldings(None, whole(artifact))]
    assert swarm.hold(artifact, 0) == []
    said = swarm.want(artifact, [0, 2], SETTLED)
    assert fetches(said, wan=True) == {MASTER: [1]}
    assert said[0] == TellHoldings(None, holds(artifact, [0, 2]))


def test_wanting_again_only_adds_to_what_is_held() -> None:
    swarm, artifact = swarm_with(), artifact_of(10)
    first = fetches(swarm.want(artifact, [], SETTLED), wan=True)[MASTER]
    assert fetches(swarm.want(artifact, [], SETTLED), wan=True) == {}, "it is under way"
    again = fetches(swarm.want(artifact, first[:1], SETTLED), wan=True)[MASTER]
    assert len(again) == 1
    assert again[0] not in first
    renewed = claims(swarm.tick(SETTLED + 1000))[0][0]
    assert renewed == sorted([*first[1:], *again])
    done = swarm.want(artifact, range(10), SETTLED)
    assert done[-1] == ArtifactComplete(artifact.digest)


def test_holding_ends_a_transfer() -> None:
    swarm, artifact = swarm_with(), artifact_of(10)
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=True)[MASTER]
    said = swarm.hold(artifact, SETTLED)
    assert claims(said) == [(asked, 0)]
    assert said[-1] == TellHoldings(None, whole(artifact))


def test_forgetting_gives_up_claims_and_says_so() -> None:
    swarm, artifact = swarm_with(), artifact_of(10)
    asked = fetches(swarm.want(artifact, [], SETTLED), wan=True)[MASTER]
    said = swarm.forget(artifact.digest, SETTLED)
    assert claims(said) == [(asked, 0)]
    assert said[-1] == TellHoldings(None, Holdings(artifact=artifact.digest))
    assert swarm.forget(artifact.digest, SETTLED) == []
    assert swarm.stored(artifact.digest, asked[0], SETTLED) == []
    late = swarm.failed(artifact.digest, asked, MASTER, Fault.UNREACHABLE, SETTLED)
    assert late == []


# -- sources fail --


def test_the_next_source_is_asked_when_one_lacks_a_chunk() -> None:
    swarm, artifact = swarm_with(sources=("m1", "m2")), artifact_of(1)
    assert fetches(swarm.want(artifact, [], SETTLED), wan=True) == {"m1": [0]}
    said = swarm.failed(artifact.digest, [0], "m1", Fault.MISSING, SETTLED)
    assert fetches(said, wan=True) == {"m2": [0]}
    said = swarm.failed(artifact.digest, [0], "m2", Fault.MISSING, SETTLED)
    assert claims(said) == [([0], 0)]
    again = run(swarm, SETTLED, SETTLED + 40_000)
    when = [at for at, i in again if isinstance(i, FetchChunks)]
    assert SETTLED + 30_000 <= when[0] <= SETTLED + 31_000, "believed for 30 s"


def test_an_unreachable_source_rests() -> None:
    swarm, artifact = swarm_with(), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    said = swarm.failed(artifact.digest, [0], MASTER, Fault.UNREACHABLE, SETTLED)
    assert fetches(said, wan=True) == {}
    when = [at for at, i in run(swarm, SETTLED, SETTLED + 3000) if isinstance(i, FetchChunks)]
    assert when[0] in range(SETTLED + 1000, SETTLED + 1251)


def test_a_request_of_which_nothing_is_heard_is_made_again() -> None:
    swarm, artifact = swarm_with(), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    said = run(swarm, SETTLED, SETTLED + 125_000)
    when = [at for at, i in said if isinstance(i, FetchChunks)]
    assert len(when) == 1
    assert when[0] in range(SETTLED + 121_000, SETTLED + 121_501)


def test_claims_are_given_up_when_the_wan_goes() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(1)
    swarm.want(artifact, [], SETTLED)
    assert claims(swarm.tick(SETTLED + CLAIM_WAIT)) == [([0], 2000)]
    assert claims(swarm.wan_sources([], SETTLED + CLAIM_WAIT + 1)) == [([0], 0)]


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


# -- hostile words --


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Holdings(artifact=b"short", complete=True), id="no digest"),
        pytest.param(Holdings(artifact=artifact_of(10).digest, bitmap=b"\x01"), id="short bitmap"),
        pytest.param(
            Holdings(artifact=artifact_of(10).digest, bitmap=b"\xff\xff"), id="chunks beyond"
        ),
        pytest.param(Holdings(artifact=b"x" * 32, bitmap=bytes(641)), id="bitmap without end"),
    ],
)
def test_holdings_that_cannot_be_true_are_ignored_and_counted(message: Holdings) -> None:
    swarm = swarm_with("n2")
    swarm.want(artifact_of(10), [], 0)
    assert swarm.holdings("n2", message, 0) == []
    assert swarm.ignored == 1


def test_a_peer_without_a_link_is_not_listened_to() -> None:
    swarm, artifact = swarm_with(), artifact_of(10)
    assert swarm.holdings("n2", whole(artifact), 0) == []
    assert swarm.claimed("n2", Claim(artifact=artifact.digest, chunks=[0], lease_ms=1), 0) == []
    assert swarm.ignored == 2


def test_claims_beyond_the_artifact_or_the_room_are_ignored() -> None:
    swarm, artifact = swarm_with("n2"), artifact_of(10)
    swarm.want(artifact, [], SETTLED)
    claim = Claim(artifact=artifact.digest, chunks=[*range(10), 10, 2**32 - 1], lease_ms=1000)
    swarm.claimed("n2", claim, SETTLED)
    assert swarm.ignored == 4, "two beyond the last, two beyond twice the window"
    swarm.claimed("n2", Claim(artifact=artifact.digest, chunks=[9] * 100, lease_ms=0), SETTLED)
    assert swarm.ignored == 4 + 36


def test_many_artifacts_of_one_neighbour_are_bounded() -> None:
    swarm = swarm_with("n2")
    for number in range(200):
        swarm.holdings("n2", Holdings(artifact=b"%032d" % number, complete=True), 0)
    assert swarm.ignored == 200 - 128
    swarm.holdings("n2", Holdings(artifact=b"%032d" % 0), 0)
    swarm.holdings("n2", Holdings(artifact=b"%032d" % 199, complete=True), 0)
    assert swarm.ignored == 200 - 128


def test_one_that_breaks_its_claims_is_not_heeded() -> None:
    swarm, artifact = swarm_with("n2", sources=()), artifact_of(10)
    swarm.want(artifact, [], SETTLED)
    claim = Claim(artifact=artifact.digest, chunks=[0, 1, 2], lease_ms=60_000)
    swarm.claimed("n2", claim, SETTLED)
    run(swarm, SETTLED, SETTLED + 31_000)
    swarm.claimed("n2", claim, SETTLED + 31_001)
    assert swarm.ignored == 1


def test_no_one_carries_without_a_wan_path() -> None:
    swarm, artifact = swarm_with("n2", sources=()), artifact_of(10)
    swarm.holdings("n2", holds(artifact, []), 0)
    assert swarm.to_carry() == []
