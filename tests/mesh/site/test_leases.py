"""The rules of leases: who decides, until when, and which rosters still count."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.site.leases import (
    Earlier,
    Member,
    asked_at,
    is_over,
    is_quorum,
    needs_lease,
    tie_breaker,
)
from protos.documents_pb2 import PipelinePlan

NAMES = [f"n{i}" for i in range(7)]
NODES = [Member(name, b"key") for name in NAMES]


def members(text: str) -> set[Member]:
    return {Member(name, b"key") for name in text.split()}


def at(times: dict[str, int]) -> dict[Member, int]:
    return {Member(name, b"key"): time for name, time in times.items()}


@pytest.mark.parametrize(
    ("exclusive", "run", "needs"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_only_what_must_never_run_twice_needs_a_lease(
    exclusive: bool, run: bool, needs: bool
) -> None:
    assert needs_lease(PipelinePlan(exclusive=exclusive, run_on_split=run)) is needs


@pytest.mark.parametrize("count", range(1, 8))
def test_of_a_site_in_two_parts_exactly_one_decides(count: int) -> None:
    roster = NODES[:count]
    for size in range(count + 1):
        for part in itertools.combinations(roster, size):
            rest = set(roster).difference(part)
            assert is_quorum("door", part, roster) != is_quorum("door", rest, roster)


def test_who_is_not_of_the_roster_does_not_count() -> None:
    assert not is_quorum("door", members("n0 x y"), NODES[:3])
    assert not is_quorum("door", members("x"), [])


def test_who_has_the_id_of_a_node_of_the_roster_and_other_keys_does_not_count() -> None:
    other = {Member(name, b"other key") for name in NAMES}
    assert is_quorum("door", NODES[:2], NODES[:3])
    assert not is_quorum("door", {*NODES[:1], *other}, NODES[:3])
    decides = next(one for one in NODES[:2] if one.node == tie_breaker("door", NAMES[:2]))
    assert is_quorum("door", [decides], NODES[:2])
    assert not is_quorum("door", other - {decides}, NODES[:2])


def test_the_tie_breaker_differs_by_workload() -> None:
    found = {tie_breaker(f"door-{i}", NAMES[:2]) for i in range(20)}
    assert found == {"n0", "n1"}
    assert tie_breaker("door", []) is None


def test_a_lease_rests_on_the_oldest_ask_of_the_newest_quorum() -> None:
    roster = NODES[:5]
    grants = at({"n0": 90, "n1": 50, "n2": 70, "n3": 10, "x": 99})
    assert asked_at("door", grants, [roster]) == 50
    assert asked_at("door", at({"n0": 90, "n1": 50}), [roster]) is None


def test_while_two_rosters_count_a_quorum_of_each_is_needed() -> None:
    before, now = NODES[:3], NODES[2:6]
    half = [node for node in now if node.node != "n2"]
    assert asked_at("door", dict.fromkeys(half, 5), [now]) == 5
    assert asked_at("door", dict.fromkeys(half, 5), [now, before]) is None
    more = {**dict.fromkeys(half, 5), **at({"n2": 4, "n0": 3})}
    assert asked_at("door", more, [now, before]) == 3


@given(
    st.dictionaries(st.sampled_from(NODES[:5]), st.integers(0, 9)),
    st.dictionaries(st.sampled_from(NODES[:5]), st.integers(0, 9)),
)
def test_two_leases_always_rest_on_a_common_node(
    one: dict[Member, int], other: dict[Member, int]
) -> None:
    roster = NODES[:5]
    if (
        asked_at("door", one, [roster]) is not None
        and asked_at("door", other, [roster]) is not None
    ):
        assert one.keys() & other.keys()


EARLIER = Earlier(tuple(NODES[:3]), until=7)


@pytest.mark.parametrize(
    ("roster", "applied", "over"),
    [
        pytest.param("n0 n1 n2 n3", {"n0": 7, "n1": 8}, True, id="most know"),
        pytest.param("n0 n1 n2 n3", {"n0": 7, "n1": 6}, False, id="two may not know"),
        pytest.param("n0 n3", {"n0": 7}, True, id="who may not know was taken out"),
        pytest.param("n0 n1 n3", {"n0": 7}, False, id="one of two is still in it"),
    ],
)
def test_an_earlier_roster_is_over_once_it_can_decide_nothing_alone(
    roster: str, applied: dict[str, int], over: bool
) -> None:
    assert is_over(EARLIER, members(roster), at(applied), 0) is over


def test_states_of_another_store_say_nothing_of_what_replaced_a_roster_in_this_one() -> None:
    for counter, over in ((11, False), (12, True)):
        applied = dict.fromkeys(NODES[:2], counter)
        assert is_over(EARLIER, NODES[:4], applied, 12) is over


def test_what_a_machine_knows_says_nothing_of_one_that_had_its_id_before() -> None:
    renewed = {Member(name, b"other key"): 7 for name in NAMES[:3]}
    assert not is_over(EARLIER, {NODES[0], *renewed}, renewed, 0)
    assert is_over(EARLIER, renewed, {}, 0)
