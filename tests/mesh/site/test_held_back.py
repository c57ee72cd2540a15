"""Cordoned and draining nodes: what stays, what moves off, what is said where nothing fits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.site.handover import LINGER_MS, Handover, moved_and_served
from mesh.site.local import ReplicaKey, service_config
from mesh.site.placement import Placement, place
from mesh.site.views import NodeView, view
from protos.documents_pb2 import (
    Phase,
    PipelinePlan,
    PipelineState,
    Plan,
    ReplicaState,
    ServicePlan,
    StableRegister,
)

GIB = 1 << 30
CORDONED = {"cordoned": True}
DRAINING = {"cordoned": True, "draining": True}


def node(name: str, runs: int = 0, reads: str = "", cores: int = 4, **held: bool) -> NodeView:
    """A node on which `runs` replicas of the service have begun, and perhaps the pipeline."""
    return NodeView(
        name,
        {},
        cores,
        4 * GIB,
        frozenset({"CPU"}),
        frozenset({"camera"}),
        {},
        {"faces": runs} if runs else {},
        frozenset(reads.split()),
        **held,
    )


def faces(replicas: int, **fields: object) -> ServicePlan:
    values = {"cores": 1, "memory_bytes": GIB, "device": "CPU", "spares": 1, **fields}
    return ServicePlan(name="faces", replicas_min=replicas, **values)  # type: ignore[arg-type]


def placed(replicas: int, *nodes: NodeView) -> Placement:
    return place(Plan(services=[faces(replicas)]), nodes)


def test_a_cordoned_node_keeps_what_it_has_begun_and_gets_no_more() -> None:
    kept = placed(3, node("a", runs=1, **CORDONED), node("b"), node("c"))
    assert kept.nodes_of("faces") == {"a": 1, "b": 1, "c": 1}
    more = placed(6, node("a", runs=1, **CORDONED), node("b"), node("c"))
    assert more.count("a", "faces") == 1
    assert sum(more.nodes_of("faces").values()) == 6
    assert placed(2, node("a", **CORDONED), node("b")).nodes_of("faces") == {"b": 2}


def test_cordoning_and_uncordoning_move_nothing() -> None:
    site = [node(name) for name in "abc"]
    before = placed(2, *site).nodes_of("faces")
    for name in "abc":
        held = [node(n, runs=before.get(n, 0), **(CORDONED if n == name else {})) for n in "abc"]
        assert placed(2, *held).nodes_of("faces") == before


@pytest.mark.parametrize("others", [1, 2, 4])
def test_the_work_of_a_draining_node_goes_to_those_that_have_room(others: int) -> None:
    rest = [node(f"n{i}") for i in range(others)]
    after = placed(2, node("a", runs=1, **DRAINING), *rest)
    assert "a" not in after.nodes_of("faces")
    assert sum(after.nodes_of("faces").values()) == 2
    assert (after.pending, after.stays) == ({}, {})


def test_what_fits_nowhere_else_stays_and_the_way_out_is_said() -> None:
    after = placed(3, node("a", runs=2, **DRAINING), node("b", cores=2))
    assert after.nodes_of("faces") == {"a": 1, "b": 2}
    assert after.pending == {}
    (said,) = after.stays.items()
    assert said[0] == ("a", "faces")
    assert "1 of its replicas fit on no other live node" in said[1]
    assert "`meshctl uncordon a`" in said[1]


def test_all_nodes_of_a_site_drain_and_nothing_is_lost() -> None:
    after = placed(2, *(node(name, runs=1, **DRAINING) for name in "ab"), node("c", **DRAINING))
    assert after.nodes_of("faces") == {"a": 1, "b": 1}
    assert sorted(after.stays) == [("a", "faces"), ("b", "faces")]


def test_a_drained_node_is_the_way_out_of_what_is_pending() -> None:
    after = placed(2, node("a", **DRAINING), node("b", cores=1))
    assert after.nodes_of("faces") == {"b": 1}
    assert "1 of 2 replicas fit on no live node" in after.pending["faces"]
    assert "`meshctl uncordon a`" in after.pending["faces"]
    assert "uncordon" not in placed(2, node("b", cores=1)).pending["faces"]


def test_no_spare_is_kept_on_a_node_that_takes_no_work() -> None:
    site = [node("a"), node("b"), node("c", **CORDONED), node("d", **DRAINING)]
    after = place(Plan(services=[faces(1, spares=4)]), site)
    assert set(after.spares["faces"]) | set(after.nodes_of("faces")) == {"a", "b"}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(0, 8))
def test_a_drain_takes_nothing_below_what_is_asked_for(
    data: st.DataObject, nodes: int, replicas: int
) -> None:
    cores = [data.draw(st.integers(1, 4)) for _ in range(nodes)]
    before = placed(replicas, *(node(f"n{i}", cores=c) for i, c in enumerate(cores)))
    held = [data.draw(st.sampled_from([{}, CORDONED, DRAINING])) for _ in range(nodes)]
    runs = [before.count(f"n{i}", "faces") for i in range(nodes)]
    views = [node(f"n{i}", runs=runs[i], cores=cores[i], **one) for i, one in enumerate(held)]
    after = placed(replicas, *views)
    wanted = sum(before.nodes_of("faces").values())
    assert sum(after.nodes_of("faces").values()) == wanted
    for one in views:
        count = after.count(one.node, "faces")
        assert not one.cordoned or count <= one.runs.get("faces", 0)
        assert ((one.node, "faces") in after.stays) == (one.draining and count > 0)


# ---- pipelines ----


def door(*nodes: NodeView) -> Placement:
    return place(Plan(pipelines=[PipelinePlan(name="door", source="camera")]), nodes)


def test_a_pipeline_stays_on_a_cordoned_node_and_leaves_a_draining_one() -> None:
    chosen = door(node("a"), node("b")).pipelines["door"]
    other = ({"a", "b"} - {chosen}).pop()
    stays = door(node(chosen, reads="door", **CORDONED), node(other))
    assert stays.pipelines == {"door": chosen}
    assert door(node(chosen, **CORDONED), node(other)).pipelines == {"door": other}
    leaves = door(node(chosen, reads="door", **DRAINING), node(other))
    assert (leaves.pipelines, leaves.stays) == ({"door": other}, {})


def test_a_pipeline_whose_source_is_on_a_draining_node_alone_stays_there() -> None:
    after = door(node("a", reads="door", **DRAINING))
    assert after.pipelines == {"door": "a"}
    assert "no other live node that takes work has its source" in after.stays["a", "door"]


def test_a_pipeline_never_begins_on_a_node_that_takes_no_work() -> None:
    after = door(node("a", **DRAINING))
    assert after.pipelines == {}
    assert after.pending["door"].endswith("`meshctl uncordon a`")


# ---- how a node is seen, and when what moved away goes ----


def test_what_a_node_has_begun_is_what_it_does_not_only_fetch() -> None:
    phases = [Phase.SERVING, Phase.LOADING, Phase.FETCHING, Phase.FAILED]
    replicas = [
        ReplicaState(workload="faces", index=i, phase=phase) for i, phase in enumerate(phases)
    ]
    replicas.append(ReplicaState(workload="faces", index=0, phase=Phase.LOADING, config="new"))
    register = StableRegister(
        node="a", replicas=replicas, pipelines=[PipelineState(workload="door")], draining=True
    )
    seen = view(register)
    assert (seen.runs, seen.pipelines) == ({"faces": 3}, {"door"})
    assert seen.serving == {"faces": 1}
    assert (seen.cordoned, seen.draining) == (True, True)
    assert view(StableRegister(node="a", cordoned=True)).draining is False


def test_what_moved_away_lingers_until_everybody_can_know() -> None:
    handover = Handover()
    assert handover.fresh(["faces"], 100) == {"faces"}
    assert not handover.is_due(99 + LINGER_MS)
    assert handover.fresh(["faces", "late"], 99 + LINGER_MS) == {"faces", "late"}
    assert handover.is_due(100 + LINGER_MS)
    assert handover.fresh(["faces", "late"], 100 + LINGER_MS) == {"late"}
    assert handover.fresh([], 101 + LINGER_MS) == set()
    assert not handover.is_due(10 * LINGER_MS)
    assert handover.fresh(["faces"], 11 * LINGER_MS) == {"faces"}, "it begins anew"


def test_only_what_moved_away_and_serves_elsewhere_is_handed_over() -> None:
    service = faces(1)
    key = ReplicaKey("faces", 0, service_config(service))
    plan, elsewhere = Plan(services=[service]), Placement({"b": {"faces": 1}}, {}, {}, {})
    serves = NodeView("b", {}, 4, 4, frozenset(), frozenset(), {"faces": 1})
    assert moved_and_served("a", plan, elsewhere, [serves], [key]) == ["faces"]
    assert moved_and_served("a", plan, elsewhere, [], [key]) == []
    assert moved_and_served("b", plan, elsewhere, [serves], [key]) == []
