"""Placement: spread, capacity, minimal movement, and the same answer for everybody."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.site.placement import Placement, place, rank
from mesh.site.views import NodeView, views
from protos.documents_pb2 import (
    Capacity,
    Phase,
    PipelinePlan,
    Plan,
    ReplicaState,
    ServicePlan,
    StableRegister,
)
from tests.sim.checks.room import expected, first_come

GIB = 1 << 30


def node(
    name: str, cores: int = 4, memory: int = 4 * GIB, sources: str = "", **labels: str
) -> NodeView:
    return NodeView(name, labels, cores, memory, frozenset({"CPU"}), frozenset(sources.split()), {})


def service(name: str = "faces", replicas: int = 2, **fields: object) -> ServicePlan:
    values = {"cores": 1, "memory_bytes": GIB, "device": "CPU", "spares": 1, **fields}
    return ServicePlan(name=name, replicas_min=replicas, **values)  # type: ignore[arg-type]


def pipeline(name: str = "door", source: str = "camera", **fields: object) -> PipelinePlan:
    return PipelinePlan(name=name, source=source, **fields)  # type: ignore[arg-type]


SERVICES = st.lists(
    st.builds(
        service,
        st.sampled_from("abcdef"),
        st.integers(0, 6),
        cores=st.integers(0, 3),
        memory_bytes=st.integers(0, 3).map(lambda gib: gib * GIB),
        spares=st.integers(0, 3),
    ),
    unique_by=lambda one: one.name,
    max_size=4,
)
SITES = st.integers(0, 10).flatmap(
    lambda n: st.tuples(*[st.builds(node, st.just(f"n{i}"), st.integers(1, 8)) for i in range(n)])
)


def used(placement: Placement, plan: Plan, name: str) -> tuple[int, int]:
    by_name = {one.name: one for one in plan.services}
    counts = placement.replicas.get(name, {})
    cores = sum(by_name[s].cores * count for s, count in counts.items())
    memory = sum(by_name[s].memory_bytes * count for s, count in counts.items())
    return cores, memory


@settings(max_examples=150, deadline=None)
@given(SITES, SERVICES)
def test_no_node_gets_more_than_it_has_and_what_is_missing_is_said(
    nodes: tuple[NodeView, ...], services: list[ServicePlan]
) -> None:
    plan = Plan(services=services)
    placement = place(plan, nodes)
    for one in nodes:
        cores, memory = used(placement, plan, one.node)
        assert cores <= one.cores
        assert memory <= one.memory_bytes
    for wanted in services:
        placed = sum(placement.nodes_of(wanted.name).values())
        assert (placed < wanted.replicas_min) == (wanted.name in placement.pending)
        assert placed <= wanted.replicas_min


@settings(max_examples=100, deadline=None)
@given(SITES, SERVICES, st.randoms(use_true_random=False))
def test_the_order_of_what_comes_in_changes_nothing(
    nodes: tuple[NodeView, ...], services: list[ServicePlan], shuffler: random.Random
) -> None:
    shuffled_nodes, shuffled_services = list(nodes), list(services)
    shuffler.shuffle(shuffled_nodes)
    shuffler.shuffle(shuffled_services)
    assert place(Plan(services=services), nodes) == place(
        Plan(services=shuffled_services), shuffled_nodes
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(1, 12), st.data())
def test_a_node_lost_moves_only_what_it_ran(nodes: int, replicas: int, data: st.DataObject) -> None:
    site = [node(f"n{i}") for i in range(nodes)]
    plan = Plan(services=[service(replicas=min(replicas, nodes - 1))])
    before = place(plan, site).nodes_of("faces")
    gone = data.draw(st.sampled_from(site)).node
    after = place(plan, [one for one in site if one.node != gone]).nodes_of("faces")
    stayed = {name for name in before if name != gone}
    assert stayed <= after.keys()
    assert len(after.keys() - stayed) == (1 if gone in before else 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_a_node_added_takes_at_most_one_replica_from_one_other(nodes: int, replicas: int) -> None:
    site = [node(f"n{i}") for i in range(nodes)]
    plan = Plan(services=[service(replicas=min(replicas, nodes))])
    before = place(plan, site).nodes_of("faces")
    after = place(plan, [*site, node("new")]).nodes_of("faces")
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) <= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 8), st.integers(0, 20))
def test_replicas_spread_before_they_share(nodes: int, replicas: int) -> None:
    site = [node(f"n{i}", cores=4) for i in range(nodes)]
    placed = place(Plan(services=[service(replicas=replicas)]), site).nodes_of("faces")
    counts = [placed.get(one.node, 0) for one in site]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == min(replicas, 4 * nodes)


def test_spares_are_the_next_in_the_ranking_and_take_over() -> None:
    site = [node(f"n{i}") for i in range(5)]
    plan = Plan(services=[service(replicas=2, spares=2)])
    placement = place(plan, site)
    first_spare = placement.spares["faces"][0]
    gone = sorted(placement.nodes_of("faces"))[0]
    after = place(plan, [one for one in site if one.node != gone])
    assert first_spare in after.nodes_of("faces")
    assert len(placement.spares["faces"]) == 2


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        pytest.param(service(match_labels={"zone": "roof"}), "no live node", id="no such label"),
        pytest.param(service(device="GPU"), "no live node", id="no such device"),
        pytest.param(service(cores=9), "2 of 2 replicas fit on no live node", id="too large"),
        pytest.param(service(replicas=9, cores=4), "7 of 9 replicas", id="too many"),
    ],
)
def test_what_fits_nowhere_is_pending_with_a_reason(wanted: ServicePlan, words: str) -> None:
    placement = place(Plan(services=[wanted]), [node("a"), node("b")])
    assert words in placement.pending["faces"]


def test_where_room_is_short_each_service_has_its_first_replica_before_any_has_its_second() -> None:
    plan = Plan(services=[service(name, 3) for name in ("a", "b", "c")])
    counts = [len(place(plan, [node("n", cores=n)]).replicas.get("n", {})) for n in range(1, 5)]
    assert counts == [1, 2, 3, 3]
    for room, wanted in ((3, (1, 1, 1)), (5, (2, 2, 1)), (7, (3, 2, 2)), (9, (3, 3, 3))):
        one = place(plan, [node("n", cores=room, memory=room * GIB)])
        assert tuple(one.count("n", name) for name in ("a", "b", "c")) == wanted


def by_name(plan: Plan, nodes: Sequence[NodeView]) -> dict[str, dict[str, int]] | None:
    """Service to its nodes and how many replicas each, where every service has all of them before
    the next by name has any; None: not all fit."""
    rooms = {one.node: (one.cores, one.memory_bytes) for one in nodes}
    placed: dict[str, dict[str, int]] = {}
    for one in sorted(plan.services, key=lambda one: one.name):
        counts = placed[one.name] = dict[str, int]()
        for _ in range(one.replicas_min):
            left = {name: (c - one.cores, m - one.memory_bytes) for name, (c, m) in rooms.items()}
            able = [name for name in rank(one, nodes) if min(left[name]) >= 0]
            if not able:
                return None
            best = min(able, key=lambda name: counts.get(name, 0))
            counts[best], rooms[best] = counts.get(best, 0) + 1, left[best]
    return placed


@settings(max_examples=300, deadline=None)
@given(SITES, SERVICES)
def test_where_all_fit_as_placed_by_name_they_are_placed_so(
    nodes: tuple[NodeView, ...], services: list[ServicePlan]
) -> None:
    plan = Plan(services=services)
    simple, placed = by_name(plan, nodes), place(plan, nodes)
    if simple is not None:
        assert {name: placed.nodes_of(name) for name in simple} == simple
        assert not placed.pending


@pytest.mark.parametrize(
    "hopeless",
    [
        pytest.param([], id="none"),
        pytest.param([service("z", match_labels={"zone": "roof"})], id="no such label"),
        pytest.param([service("z", cores=9)], id="too large"),
    ],
)
def test_large_replicas_that_fit_by_name_find_room_whatever_fits_nowhere(
    hopeless: list[ServicePlan],
) -> None:
    site = [node("small", cores=1), node("m", cores=4)]
    wanted = service("b", 1)
    assert rank(wanted, site)[0] == "m", "in rounds its replica takes the room of the second `a`"
    placed = place(Plan(services=[service("a", 2, cores=2), wanted, *hopeless]), site)
    assert placed.pending.keys() == {one.name for one in hopeless}
    assert (placed.nodes_of("a"), placed.nodes_of("b")) == ({"m": 2}, {"small": 1})


@settings(max_examples=150, deadline=None)
@given(SITES, st.lists(st.integers(0, 6), min_size=1, max_size=5), st.data())
def test_replicas_of_one_core_each_are_shared_out_evenly_up_to_the_minima(
    nodes: tuple[NodeView, ...], counts: list[int], data: st.DataObject
) -> None:
    services = [service(f"s{i}", n, memory_bytes=0) for i, n in enumerate(counts)]
    least = {one.name: data.draw(st.integers(0, one.replicas_min)) for one in services}
    placed = place(Plan(services=services), nodes, least)
    asked = {one.name: one.replicas_min for one in services}
    evenly = expected(first_come(least, asked), sum(one.cores for one in nodes))
    for name, count in evenly.items():
        assert sum(placed.nodes_of(name).values()) >= count


def test_no_service_takes_more_than_its_minimum_before_all_have_theirs() -> None:
    site = [node("n", cores=2), node("m", cores=2)]
    plan = Plan(services=[service("busy", 4), service("calm", 2)])
    placed = place(plan, site, {"busy": 1, "calm": 2})
    assert (placed.nodes_of("calm"), "calm" in placed.pending) == ({"n": 1, "m": 1}, False)
    assert sum(placed.nodes_of("busy").values()) == 2
    assert "2 of 4 replicas" in placed.pending["busy"]


def test_the_first_replica_of_a_service_that_woke_comes_before_the_second_of_others() -> None:
    site = [node("n", cores=1), node("m", cores=1)]
    plan = Plan(services=[service("always", 2), service("woken", 2)])
    placed = place(plan, site, {"always": 2, "woken": 0})
    assert [sum(placed.nodes_of(name).values()) for name in ("always", "woken")] == [1, 1]
    assert placed.pending.keys() == {"always", "woken"}


@settings(max_examples=150, deadline=None)
@given(SITES, SERVICES, st.lists(st.integers(0, 6), min_size=4, max_size=4))
def test_what_is_above_the_minimum_takes_no_room_from_what_is_not(
    nodes: tuple[NodeView, ...], services: list[ServicePlan], minima: list[int]
) -> None:
    least = {one.name: min(one.replicas_min, n) for one, n in zip(services, minima, strict=False)}
    fewest = Plan(services=services)
    for one in fewest.services:
        one.replicas_min = min(one.replicas_min, max(1, least[one.name]))
    minimal, placed = place(fewest, nodes), place(Plan(services=services), nodes, least)
    for name in least:
        for at, count in minimal.nodes_of(name).items():
            assert placed.count(at, name) >= count


def test_labels_choose_nodes() -> None:
    site = [node("a", zone="roof"), node("b", zone="cellar")]
    placed = place(Plan(services=[service(match_labels={"zone": "roof"})]), site)
    assert placed.nodes_of("faces") == {"a": 2}
    assert placed.count("b", "faces") == placed.count("nobody", "faces") == 0


def test_a_pipeline_without_a_source_is_pending() -> None:
    plan = Plan(pipelines=[pipeline(source="microphone")])
    placement = place(plan, [node("a", sources="camera")])
    assert "no live node has the source" in placement.pending["door"]
    assert placement.pipelines == {}


def test_a_pipeline_runs_where_its_source_is_on_one_node() -> None:
    site = [node("a"), node("b", sources="camera"), node("c", sources="camera")]
    plan = Plan(pipelines=[pipeline(exclusive=True, run_on_split=True)])
    chosen = place(plan, site).pipelines["door"]
    assert chosen in ("b", "c")
    others = [one for one in site if one.node != chosen]
    assert place(plan, others).pipelines["door"] == ({"b", "c"} - {chosen}).pop()


def test_a_node_is_seen_as_its_register_describes_it() -> None:
    replicas = [
        ReplicaState(workload="faces", index=i, phase=phase)
        for i, phase in enumerate((Phase.SERVING, Phase.SERVING, Phase.LOADING))
    ]
    capacity = Capacity(cores=2, memory_bytes=GIB, devices=["CPU"])
    register = StableRegister(
        node="a", labels={"zone": "roof"}, capacity=capacity, sources=["camera"], replicas=replicas
    )
    dead = StableRegister(node="b")
    (seen,) = views([dead, register], ["a", "unknown"])
    assert (seen.node, seen.cores, seen.memory_bytes) == ("a", 2, GIB)
    assert (seen.labels, seen.sources) == ({"zone": "roof"}, frozenset({"camera"}))
    assert seen.serving == {"faces": 2}


# ---- lies ----


@pytest.mark.parametrize("honest", [1, 2, 9])
def test_one_node_that_lies_about_its_capacity_does_not_take_everything(honest: int) -> None:
    site = [node(f"n{i}") for i in range(honest)]
    liar = node("liar", cores=2**32 - 1, memory=2**64 - 1)
    plan = Plan(services=[service(f"s{i}", 1, cores=0, memory_bytes=0) for i in range(400)])
    told, placed = place(plan, [*site, liar]), place(plan, site)
    first = [next(iter(told.nodes_of(one.name))) for one in plan.services]
    share = first.count("liar") / len(first)
    fair = 4 / (honest + 4)
    assert abs(share - fair) < 0.08
    alone = [next(iter(placed.nodes_of(one.name))) for one in plan.services]
    moved = sum(1 for now, was in zip(first, alone, strict=True) if now not in ("liar", was))
    assert moved == 0, "what it does not take stays where it was"


def test_a_node_that_claims_no_core_at_all_may_run_what_asks_for_none() -> None:
    plan = Plan(services=[service(replicas=1, cores=0)])
    assert place(plan, [node("a", cores=0)]).nodes_of("faces") == {"a": 1}


@pytest.mark.parametrize("asks", [{"memory_bytes": 2**63}, {"cores": 2**31}])
def test_what_no_node_can_ever_hold_is_pending_and_says_what_it_asks_for(
    asks: dict[str, int],
) -> None:
    plan = Plan(services=[service(replicas=1, **asks), service("other", 1)])
    placed = place(plan, [node("a"), node("b")])
    assert f"ask for less than {asks.get('cores', 1)} cores" in placed.pending["faces"]
    assert "other" not in placed.pending
