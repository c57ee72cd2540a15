"""Registers as documents: a newer release's words do not stop the answer."""

import pytest

from node.agent.rollout_documents import rollout_documents
from node.agent.site_documents import (
    asleep_documents,
    behind,
    counts,
    in_force,
    phase_name,
    plan_documents,
    workload_documents,
)
from protos.documents_pb2 import (
    Phase,
    PipelineState,
    Plan,
    ReplicaState,
    ServicePlan,
    SiteBranch,
    StableRegister,
)

NEWER = 99


@pytest.mark.parametrize(
    ("phase", "name"), [(Phase.SERVING, "serving"), (NEWER, "unknown-99"), (-1, "unknown--1")]
)
def test_a_phase_has_a_name(phase: int, name: str) -> None:
    assert phase_name(phase) == name


def test_a_phase_of_a_newer_release_is_shown_by_its_number() -> None:
    replica = ReplicaState(workload="faces", model_version="1", phase=NEWER)
    pipeline = PipelineState(workload="door", phase=NEWER)
    body = StableRegister(node="a", site="south", replicas=[replica], pipelines=[pipeline])
    assert [d["phase"] for d in workload_documents(body)] == ["unknown-99"] * 2
    plan = Plan(site="south", services=[ServicePlan(name="faces", model_version="1")])
    (document,) = rollout_documents(plan, [body], {})
    assert document["phases"] == ["1 unknown-99"]


@pytest.mark.parametrize(
    ("service", "held"),
    [
        pytest.param({}, {}, id="nothing is held"),
        pytest.param({"paused": True}, {"paused": ["south"]}, id="paused"),
        pytest.param({"pinned": True}, {"pinned": {"south": "m@1"}}, id="pinned"),
    ],
)
def test_what_is_held_of_a_service_is_said(
    service: dict[str, bool], held: dict[str, object]
) -> None:
    plan = Plan(site="south")
    plan.services.add(name="faces", model="m", model_version="1", **service)
    (document, _) = plan_documents(SiteBranch(site="south", plan=plan), plan, 7, [])
    assert {key: document[key] for key in ("paused", "pinned") if key in document} == held


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        pytest.param((2, 4), {"desired": 2}, id="as planned"),
        pytest.param((3, 3), {"desired": 3, "planned": 2, "local": {"south": 3}}, id="scaled"),
        pytest.param((2, 2), {"desired": 2, "planned": 2, "local": {"south": 2}}, id="kept"),
    ],
)
def test_a_count_of_the_site_is_told_from_the_plans(
    bounds: tuple[int, int], said: dict[str, object]
) -> None:
    planned, here = Plan(site="south"), Plan(site="south")
    planned.services.add(name="faces", replicas_min=2, replicas_max=4)
    here.services.add(name="faces", replicas_min=bounds[0], replicas_max=bounds[1])
    (document, _) = plan_documents(SiteBranch(site="south", plan=here), planned, 7, [])
    shown = {key: document[key] for key in ("desired", "planned", "local") if key in document}
    assert shown == said


def test_a_count_of_one_site_is_among_those_of_all() -> None:
    assert counts(["north", "south"], 2, {}) == {"desired": 4}
    scaled_there = {"desired": 5, "planned": 4, "local": {"south": 3}}
    assert counts(["north", "south"], 2, {"south": 3}) == scaled_there


@pytest.mark.parametrize(
    ("least", "phase", "asleep"),
    [
        pytest.param(0, None, ["south"], id="nowhere, and it may sleep"),
        pytest.param(0, Phase.LOADING, None, id="it wakes"),
        pytest.param(1, None, None, id="it may not sleep: it is missing"),
    ],
)
def test_what_sleeps_is_said(least: int, phase: Phase | None, asleep: list[str] | None) -> None:
    plan = Plan(site="south")
    plan.services.add(name="faces", replicas_min=least, replicas_max=2)
    body = StableRegister(node="a", site="south")
    body.replicas.add(workload="doors", phase=Phase.SERVING)
    if phase is not None:
        body.replicas.add(workload="faces", phase=phase)
    (document, _) = plan_documents(SiteBranch(site="south", plan=plan), plan, 7, [body])
    assert document.get("asleep") == asleep


def test_a_pipeline_that_runs_is_counted() -> None:
    plan = Plan(site="south")
    plan.pipelines.add(name="door")
    running, failed = StableRegister(node="a"), StableRegister(node="b")
    running.pipelines.add(workload="door", phase=Phase.SERVING)
    failed.pipelines.add(workload="door", phase=Phase.FAILED)
    branch = SiteBranch(site="south", plan=plan)
    assert plan_documents(branch, plan, 7, [running, failed])[0]["serving"] == 1
    assert plan_documents(branch, plan, 7, [failed])[0]["serving"] == 0


def test_what_sleeps_is_among_the_workloads() -> None:
    (document,) = asleep_documents("south", ["faces"])
    assert (document["workload"], document["phase"], document["node"]) == ("faces", "asleep", "")
    assert "wakes it" in document["reason"]


@pytest.mark.parametrize(
    ("applied", "goes_by", "expected"), [(7, 6, 6), (7, 7, 7), (7, 0, 0), (7, None, 7)],
    ids=["refused the newest", "goes by it", "goes by none", "an older release"],
)  # fmt: skip
def test_which_state_a_node_goes_by(applied: int, goes_by: int | None, expected: int) -> None:
    body = StableRegister(applied_counter=applied, in_force_counter=goes_by)
    assert in_force(body) == expected


def test_who_is_behind_of_those_that_live() -> None:
    nodes = [
        {"node": "c", "live": "live", "in_force": 6},
        {"node": "b", "live": "dead", "in_force": 6},
        {"node": "a", "live": "live", "in_force": 7},
        {"node": "d", "live": "unknown"},
    ]
    assert behind(nodes, 7) == ["c"]
