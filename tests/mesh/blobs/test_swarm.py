"""One swarm, event by event: what it says, what it asks for, what it does not believe."""

import pytest

from mesh.blobs.instructions import ArtifactComplete, Fault, FetchChunks, TellClaim, TellHoldings
from mesh.blobs.swarm import Swarm
from protos.peer_pb2 import Claim, Holdings
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
