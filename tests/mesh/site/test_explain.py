"""The placement in words: every node has its place, and a reason that names the fact."""

from dataclasses import replace

from mesh.site.explain import Standing, explain_pipeline, explain_service
from mesh.site.placement import place
from mesh.site.views import NodeView
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan

GIB = 1 << 30


def node(name: str, cores: int = 4, sources: str = "", **labels: str) -> NodeView:
    devices = frozenset({"CPU", "NPU"})
    return NodeView(name, labels, cores, 4 * GIB, devices, frozenset(sources.split()), {})


def service(name: str = "faces", replicas: int = 1, **fields: object) -> ServicePlan:
    values = {"cores": 1, "memory_bytes": GIB, "device": "CPU", "spares": 1, **fields}
    return ServicePlan(name=name, replicas_min=replicas, **values)  # type: ignore[arg-type]


def standings(plan: Plan, *nodes: NodeView) -> dict[str, Standing]:
    placed = place(plan, nodes)
    found = explain_service(plan.services[0], plan, nodes, placed)
    assert [one.place for one in found if one.place] == list(
        range(1, 1 + sum(1 for one in found if one.place))
    )
    return {one.node: one for one in found}


def test_the_chosen_the_spare_and_the_rest() -> None:
    found = standings(Plan(services=[service()]), *(node(f"n{i}") for i in range(4)))
    by_place = sorted(found.values(), key=lambda one: one.place)
    assert [one.runs for one in by_place] == [1, 0, 0, 0]
    assert [one.spare for one in by_place] == [False, True, False, False]
    assert by_place[0].why == "first by rendezvous of 4 that may run it"
    assert by_place[1].why.startswith("a spare")
    assert by_place[3].why.startswith("not needed")


def test_the_places_of_those_that_run_it_are_counted() -> None:
    found = standings(Plan(services=[service(replicas=4)]), *(node(f"n{i}") for i in range(4)))
    ordinals = [one.why.split(" by ")[0] for one in found.values()]
    assert ordinals == ["first", "second", "third", "number 4"]


def test_a_node_without_the_label_or_the_device_is_told_apart() -> None:
    plan = Plan(services=[service(match_labels={"zone": "cold"}, device="NPU")])
    bare = NodeView("bare", {"zone": "cold"}, 4, 4 * GIB, frozenset({"CPU"}), frozenset(), {})
    found = standings(plan, node("right", zone="cold"), node("warm", zone="warm"), node("x"), bare)
    assert found["right"].runs == 1
    assert found["warm"].why == "it has zone=warm, and the service asks for zone=cold"
    assert found["x"].why == "it has no label 'zone', and the service asks for zone=cold"
    assert found["bare"].why == "it has no device 'NPU': CPU"
    assert [found[name].place for name in ("warm", "x", "bare")] == [0, 0, 0]


def test_who_has_no_room_left_says_what_is_left() -> None:
    # The first service, by name, is placed first.
    plan = Plan(services=[service(cores=3), service("a-large-one", replicas=1, cores=2)])
    (found,) = standings(plan, node("n1")).values()
    assert found.runs == 0
    assert found.why == (
        "no room: a replica asks for 3 cores and 1024 MiB, 2 of 4 cores and 3072 MiB are left"
    )


def test_what_serves_is_what_the_node_says() -> None:
    busy = NodeView("n1", {}, 4, 4 * GIB, frozenset({"CPU"}), frozenset(), {"faces": 2})
    (one,) = standings(Plan(services=[service()]), busy).values()
    assert (one.runs, one.serves) == (1, 2)


def test_a_pipeline_runs_where_its_source_is() -> None:
    plan = Plan(pipelines=[PipelinePlan(name="door", source="camera")])
    nodes = [node("n1", sources="camera"), node("n2"), node("n3", sources="camera microphone")]
    found = explain_pipeline(plan.pipelines[0], nodes, place(plan, nodes))
    assert [one.runs for one in found] == [1, 0, 0]
    assert [one.place for one in found] == [1, 2, 0]
    assert found[0].why == "first by rendezvous of 2 that have the source"
    assert found[2] == Standing("n2", 0, 0, 0, False, "its configuration has no source 'camera'")


def test_a_cordon_is_named() -> None:
    plan = Plan(services=[service()], pipelines=[PipelinePlan(name="door", source="camera")])
    held = [
        replace(node("n1", sources="camera"), cordoned=True),
        replace(node("n2", sources="camera"), cordoned=True, draining=True),
    ]
    nodes = [*held, node("n3", sources="camera")]
    placed = place(plan, nodes)
    for found in (
        explain_service(plan.services[0], plan, nodes, placed),
        explain_pipeline(plan.pipelines[0], nodes, placed),
    ):
        whys = {one.node: one.why for one in found}
        assert whys["n1"] == "it is cordoned: it takes no new work"
        assert whys["n2"] == "it is draining: it takes no new work"
        assert {one.node for one in found if one.runs} == {"n3"}
