"""A node whose runtime is gone: what is placed there, and how that is explained."""

import pytest

from mesh.site.explain import explain_pipeline, explain_service
from mesh.site.placement import place, rank
from mesh.site.views import NodeView, view
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan, StableRegister

GIB = 1 << 30
FACES = ServicePlan(name="faces", replicas_min=1, cores=1, device="CPU", spares=1)
DOOR = PipelinePlan(name="door", source="door")


def node(name: str, gone: bool = False, draining: bool = False) -> NodeView:
    return NodeView(
        name,
        {},
        4,
        4 * GIB,
        frozenset({"CPU"}),
        frozenset({"door"}),
        {},
        {"faces": 4} if draining else {},
        frozenset({"door"}) if draining else frozenset(),
        cordoned=draining,
        draining=draining,
        runtime_gone=gone,
    )


def placed(replicas: int, *nodes: NodeView) -> dict[str, int]:
    service = ServicePlan()
    service.CopyFrom(FACES)
    service.replicas_min = replicas
    return place(Plan(services=[service]), nodes).nodes_of("faces")


def reads(*nodes: NodeView) -> str:
    return place(Plan(pipelines=[DOOR]), nodes).pipelines["door"]


@pytest.mark.parametrize("lost", "ab")
def test_any_other_node_with_room_comes_first(lost: str) -> None:
    site = [node(name, gone=name == lost) for name in "ab"]
    (good,) = {"a", "b"} - {lost}
    assert placed(2, *site) == {good: 2}
    assert placed(5, *site) == {good: 4, lost: 1}, "it has no more room"
    assert reads(*site) == good
    assert rank(FACES, site)[-1] == lost
    assert lost not in place(Plan(services=[FACES]), [*site, node("c")]).spares["faces"]


def test_alone_or_among_its_like_it_is_placed_as_without() -> None:
    for names in ("a", "abc"):
        well = [node(name) for name in names]
        lost = [node(name, gone=True) for name in names]
        assert placed(2, *lost) == placed(2, *well)
        assert reads(*lost) == reads(*well)


def test_what_works_on_a_node_that_is_emptied_is_worth_more() -> None:
    draining = node("a", draining=True)
    assert placed(1, draining, node("b", gone=True)) == {"a": 1}
    assert reads(draining, node("b", gone=True)) == "a"


@pytest.mark.parametrize(("others", "services", "pipelines"), [
    ([node("b")], "others come first", "others come first"),
    ([], "no other node has room", "no other node can run it"),
])  # fmt: skip
def test_the_reason_is_said(others: list[NodeView], services: str, pipelines: str) -> None:
    nodes = [node("a", gone=True), *others]
    plan = Plan(services=[FACES], pipelines=[DOOR])
    placement = place(plan, nodes)
    found = explain_service(FACES, plan, nodes, placement)
    (why,) = (one.why for one in found if one.node == "a")
    assert why == f"its runtime is gone, and nothing runs there: {services}"
    (why,) = (one.why for one in explain_pipeline(DOOR, nodes, placement) if one.node == "a")
    assert why == f"its runtime is gone, and nothing runs there: {pipelines}"


def test_a_view_takes_it_from_the_register_and_an_older_release_does_not_say_it() -> None:
    assert view(StableRegister(node="a", runtime_gone=True)).runtime_gone
    assert not view(StableRegister(node="a")).runtime_gone
