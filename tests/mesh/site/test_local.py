"""What one node runs of the placement: what replaces comes before what is replaced goes."""

from collections.abc import Mapping

import pytest

from mesh.site.local import LocalWork, ReplicaKey, decide, pipeline_config, service_config
from mesh.site.placement import Placement
from mesh.site.views import NodeView
from protos.documents_pb2 import ModelPlan, PipelinePlan, Plan, ServicePlan

NEW = b"n" * 32
OLD = b"o" * 32


def faces(**fields: object) -> ServicePlan:
    values = {"model": "m", "artifact": NEW, "replicas_min": 2, **fields}
    return ServicePlan(name="faces", **values)  # type: ignore[arg-type]


NOW = service_config(faces())
BEFORE = service_config(faces(artifact=OLD))


def key(index: int = 0, config: str = NOW) -> ReplicaKey:
    return ReplicaKey("faces", index, config)


def seen(node: str, serving: int = 0) -> NodeView:
    return NodeView(node, {}, 4, 4, frozenset(), frozenset(), {"faces": serving})


def work(
    counts: Mapping[str, int],
    running: list[ReplicaKey],
    serving: list[ReplicaKey],
    held: frozenset[bytes] = frozenset({NEW}),
    elsewhere: int = 0,
    plan: Plan | None = None,
) -> LocalWork:
    """What node `a` runs, with node `b` serving `elsewhere` replicas."""
    placement = Placement(
        {n: {"faces": c} for n, c in counts.items() if c}, {"faces": ["b"]}, {"door": "a"}, {}
    )
    plan = plan or Plan(services=[faces()])
    nodes = [seen("a"), seen("b", elsewhere)]
    return decide("a", plan, placement, nodes, running, serving, held)


def test_a_replica_waits_for_its_artifact() -> None:
    done = work({"a": 1}, [], [], held=frozenset())
    assert (done.replicas, done.waiting) == ((), (key(),))
    assert done.artifacts == {NEW}


def test_a_replica_runs_once_its_artifact_is_here() -> None:
    done = work({"a": 1}, [], [])
    assert (done.replicas, done.waiting) == ((key(),), ())


def test_the_old_configuration_stays_while_the_new_artifact_is_fetched() -> None:
    done = work({"a": 1}, [key(0, BEFORE)], [key(0, BEFORE)], held=frozenset({OLD}))
    assert (done.replicas, done.waiting) == ((key(0, BEFORE),), (key(),))


def test_with_the_artifact_here_a_place_is_named_once() -> None:
    done = work({"a": 1}, [key(0, BEFORE)], [key(0, BEFORE)])
    assert done.replicas == (key(),)


def test_of_two_old_ones_of_a_place_the_one_that_serves_is_kept() -> None:
    other = service_config(faces(restarts=7))
    for serving in (BEFORE, other):
        running = [key(0, BEFORE), key(0, other)]
        done = work({"a": 1}, running, [key(0, serving)], held=frozenset())
        assert done.replicas == (key(0, serving),)


@pytest.mark.parametrize(
    ("counts", "serving", "elsewhere", "kept"),
    [
        pytest.param({"b": 1}, [key()], 0, True, id="not served there yet"),
        pytest.param({"b": 1}, [key()], 1, False, id="served there"),
        pytest.param({"b": 2}, [key()], 1, True, id="served there by half"),
        pytest.param({"b": 1}, [], 0, False, id="does not serve itself"),
        pytest.param({}, [key()], 0, True, id="fits nowhere, and serves"),
        pytest.param({"c": 1}, [key()], 0, True, id="placed on a node of which nothing is known"),
    ],
)
def test_what_moved_away_goes_once_it_serves_there(
    counts: dict[str, int], serving: list[ReplicaKey], elsewhere: int, kept: bool
) -> None:
    done = work(counts, [key()], serving, elsewhere=elsewhere)
    assert (key() in done.replicas) == kept


def test_what_moved_away_while_a_new_version_is_tried_here_serves_on_in_the_old_one() -> None:
    tried, served = [key(0, NOW)], [key(0, BEFORE)]
    assert work({"b": 1}, tried, served).replicas == (key(0, BEFORE),)
    assert work({"b": 1}, tried, served, elsewhere=1).replicas == ()


def test_a_surplus_replica_does_not_stand_in_for_the_one_that_starts() -> None:
    done = work({"a": 1}, [key(0), key(1)], [key(1)])
    assert done.replicas == (key(0), key(1))
    assert work({"a": 1}, [key(0), key(1)], [key(0), key(1)]).replicas == (key(0),)


def test_scaled_to_nothing_all_goes() -> None:
    plan = Plan(services=[faces(replicas_min=0)])
    assert work({}, [key()], [key()], plan=plan).replicas == ()


def test_a_service_that_is_gone_from_the_plan_stops() -> None:
    assert work({}, [key()], [key()], plan=Plan(pipelines=[])).replicas == ()


def test_what_a_node_holds() -> None:
    staged = ModelPlan(name="s", artifact=b"s" * 32, staged=True)
    unstaged = ModelPlan(name="u", artifact=b"u" * 32)
    plan = Plan(models=[staged, unstaged], services=[faces()])
    placement = Placement({"c": {"faces": 1}}, {"faces": ["b"]}, {"door": "a"}, {})
    held = {n: decide(n, plan, placement, [], [], [], []).artifacts for n in ("a", "b", "c")}
    assert held == {"a": {b"s" * 32}, "b": {b"s" * 32, NEW}, "c": {b"s" * 32, NEW}}
    assert decide("a", plan, placement, [], [], [], []).pipelines == ("door",)
    assert decide("b", plan, placement, [], [], [], []).pipelines == ()


@pytest.mark.parametrize(
    ("change", "restarts"),
    [
        pytest.param({"artifact": OLD}, True, id="its model"),
        pytest.param({"restarts": 1}, True, id="meshctl restart"),
        pytest.param({"memory_bytes": 5}, True, id="its memory"),
        pytest.param({"replicas_min": 9}, False, id="its count"),
        pytest.param({"spares": 9}, False, id="its spares"),
        pytest.param({"match_labels": {"a": "b"}}, False, id="where it may run"),
    ],
)
def test_what_of_a_service_needs_a_new_worker(change: dict[str, object], restarts: bool) -> None:
    assert (service_config(faces(**change)) != NOW) == restarts


def test_any_change_restarts_a_pipeline() -> None:
    assert pipeline_config(PipelinePlan(name="p")) != pipeline_config(
        PipelinePlan(name="p", every_ms=5)
    )
