"""A service that is quarantined on a node: where it is placed, and what that node does with it."""

import pytest

from mesh.site.configs import service_config
from mesh.site.explain import explain_service
from mesh.site.local import ReplicaKey, decide
from mesh.site.placement import Placement, place, rank
from mesh.site.views import NodeView, view
from protos.documents_pb2 import Phase, Plan, ReplicaState, ServicePlan, StableRegister

GIB = 1 << 30


def faces(replicas: int = 1, version: str = "1") -> ServicePlan:
    return ServicePlan(
        name="faces", replicas_min=replicas, model_version=version, cores=1, device="CPU", spares=1
    )


HELD = frozenset({("faces", service_config(faces()))})


def node(name: str, crashes: bool = False, cores: int = 4, **held: bool) -> NodeView:
    held_here = HELD if crashes else frozenset()
    begun = {"faces": 4} if held else {}
    return NodeView(
        name,
        {},
        cores,
        4 * GIB,
        frozenset({"CPU"}),
        frozenset(),
        {},
        begun,
        quarantined=held_here,
        **held,
    )


def placed(replicas: int, *nodes: NodeView, version: str = "1") -> dict[str, int]:
    return place(Plan(services=[faces(replicas, version)]), nodes).nodes_of("faces")


@pytest.mark.parametrize("bad", "ab")
def test_any_other_node_with_room_comes_first(bad: str) -> None:
    site = [node(name, crashes=name == bad) for name in "ab"]
    (good,) = {"a", "b"} - {bad}
    assert placed(1, *site) == {good: 1}
    assert placed(2, *site) == {good: 2}, "it takes a second before the other one any"
    assert placed(5, *site) == {good: 4, bad: 1}, "it has no more room"


def test_alone_or_among_its_like_it_is_placed_as_without() -> None:
    assert placed(1, node("a", crashes=True)) == {"a": 1}
    without = placed(2, *(node(name) for name in "abc"))
    assert placed(2, *(node(name, crashes=True) for name in "abc")) == without


def test_another_configuration_is_placed_as_without() -> None:
    without = placed(1, node("a"), node("b"), version="2")
    for bad in "ab":
        site = [node(name, crashes=name == bad) for name in "ab"]
        assert placed(1, *site, version="2") == without


def test_what_works_on_a_node_that_is_emptied_is_worth_more_than_what_crashes() -> None:
    draining = node("a", cordoned=True, draining=True)
    assert placed(1, draining, node("b", crashes=True)) == {"a": 1}
    assert placed(1, draining, node("b", crashes=True), node("c")) == {"c": 1}


def test_it_is_the_last_to_be_a_spare_and_to_take_its_turn() -> None:
    for bad in "abc":
        site = [node(name, crashes=name == bad) for name in "abc"]
        assert rank(faces(), site)[-1] == bad
        assert bad not in place(Plan(services=[faces()]), site).spares["faces"]


def test_the_reason_is_said() -> None:
    for others, ends in (([node("b")], "others come first"), ([], "no other node has room")):
        nodes = [node("a", crashes=True), *others]
        plan = Plan(services=[faces()])
        found = explain_service(plan.services[0], plan, nodes, place(plan, nodes))
        (why,) = (one.why for one in found if one.node == "a")
        assert why == f"quarantined, because it crashes there again and again: {ends}"


@pytest.mark.parametrize("serves", [0, 1])
def test_it_is_tried_on_here_until_it_serves_there(serves: int) -> None:
    plan, key = Plan(services=[faces()]), ReplicaKey("faces", 0, service_config(faces()))
    there = node("b")
    there = NodeView("b", {}, 4, GIB, there.devices, frozenset(), {"faces": serves})
    placement = Placement({"b": {"faces": 1}}, {}, {}, {})
    for here, kept in ((node("a", crashes=True), not serves), (node("a"), False)):
        work = decide("a", plan, placement, [here, there], [key], [], [b""])
        assert (key in work.replicas) is kept


def test_a_view_takes_it_from_the_register() -> None:
    config = service_config(faces())
    replica = ReplicaState(workload="faces", config=config, phase=Phase.FETCHING, quarantined=True)
    other = ReplicaState(workload="doors", config="1", phase=Phase.SERVING)
    seen = view(StableRegister(node="a", replicas=[replica, other]))
    assert seen.quarantined == HELD
    assert seen.runs == {"doors": 1}
