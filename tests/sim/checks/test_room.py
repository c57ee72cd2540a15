"""What may be expected where room is short, of services that may sleep as well."""

from mesh.site.local import ReplicaKey
from tests.sim.checks.facts import NodeSample, ReplicaStopped, Sample
from tests.sim.checks.room import expected_of, first_come
from tests.sim.checks.serving import UnknownIsNotAbsent

LEAST = {"always": 2, "sleeper": 0}
SERVES = {("sleeper", "1.0.0"): 1}


def node(serving: dict[tuple[str, str], int]) -> NodeSample:
    """A node with room for one replica."""
    return NodeSample(True, True, serving, dict[ReplicaKey, int](), room=1)


def test_a_service_that_sleeps_has_no_room_and_one_that_serves_that_of_its_first_replica() -> None:
    asleep, awake = {"a": node({}), "b": node({})}, {"a": node(SERVES), "b": node({})}
    assert expected_of(LEAST, asleep) == {"always": 2, "sleeper": 0}
    assert expected_of(LEAST, awake) == {"always": 1, "sleeper": 1}


def test_of_what_is_asked_for_the_minimum_comes_first_and_one_of_what_woke() -> None:
    assert first_come({"always": 2, "sleeper": 0}, {"always": 4, "sleeper": 3}) == {
        "always": 2,
        "sleeper": 1,
    }
    assert first_come({"sleeper": 0, "gone": 1}, {"sleeper": 0}) == {"sleeper": 0, "gone": 0}


def test_a_node_that_ends_the_only_replica_of_what_is_awake_is_found_where_room_is_short() -> None:
    check = UnknownIsNotAbsent()
    check.saw(Sample(0, {"a": node(SERVES), "b": node({})}, (), 3, None))
    check.saw(ReplicaStopped(1, "a", "sleeper", {"always": 2, "sleeper": 1}, LEAST))
    assert check.broken
