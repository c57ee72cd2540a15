"""Rollouts as documents: what a node's register says of each service of the plan."""

import pytest

from mesh.site.changes import LOCAL_RESTART
from mesh.site.local import service_config
from mesh.site.rollout import PAUSED
from node.agent.rollout_documents import rollout_documents
from protos.documents_pb2 import Phase, Plan, ReplicaState, ServicePlan, StableRegister

OLD = ServicePlan(name="faces", model="m", model_version="1", soak_ms=1)
NEW = ServicePlan(name="faces", model="m", model_version="2", soak_ms=1)
PLAN = Plan(site="south", services=[NEW])


def said(
    node: str, *replicas: tuple[ServicePlan, Phase, bool], refused: str | None = None
) -> StableRegister:
    body = StableRegister(node=node, site="south")
    for service, phase, soaked in replicas:
        body.replicas.append(
            ReplicaState(
                workload="faces",
                config=service_config(service),
                model_version=service.model_version,
                phase=phase,
                soaked=soaked,
                reason="out of memory" if phase == Phase.FAILED else "",
            )
        )
    if refused is not None:
        body.verdicts.add(workload="faces", config=service_config(NEW), reason=refused)
    return body


SERVES_OLD = (OLD, Phase.SERVING, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(said("a", SERVES_OLD), ("old", ["1"], True, "waits for b"), id="waits"),
        pytest.param(
            said("a", SERVES_OLD, (NEW, Phase.LOADING, False)),
            ("trying", ["1"], True, "waits for b"),
            id="tries beside the old one",
        ),
        pytest.param(
            said("a", (NEW, Phase.SERVING, True)),
            ("passed", ["2"], True, ""),
            id="has passed: nothing holds it up",
        ),
        pytest.param(
            said("a", SERVES_OLD, refused="golden check"),
            ("refused", ["1"], True, "golden check"),
            id="refused it: the evidence",
        ),
        pytest.param(
            said("a", refused=""),
            ("refused", [], False, "refused; its journal says why"),
            id="refused it and runs nothing",
        ),
    ],
)
def test_how_far_a_node_is(body: StableRegister, expected: tuple[object, ...]) -> None:
    found = rollout_documents(PLAN, [body], {("faces", "a"): "waits for b"})
    assert [(d["stage"], d["runs"], d["soaked"], d["why"]) for d in found] == [expected]
    assert (found[0]["service"], found[0]["site"], found[0]["wants"]) == ("faces", "south", "2")


def test_who_has_nothing_to_do_with_a_service_is_left_out() -> None:
    assert rollout_documents(PLAN, [said("a")], {}) == []


def test_of_others_the_replicas_reasons_are_told() -> None:
    bodies = [said("b", (NEW, Phase.FAILED, False)), said("a", SERVES_OLD)]
    found = rollout_documents(PLAN, bodies, {})
    assert [(d["node"], d["why"]) for d in found] == [("a", ""), ("b", "out of memory")]
    assert found[1]["phases"] == ["2 failed"]


def test_what_operators_restarted_at_the_site_is_said() -> None:
    again = ServicePlan()
    again.CopyFrom(NEW)
    again.restarts = 1 + 2 * LOCAL_RESTART
    plan, bodies = Plan(site="south", services=[again]), [said("a", (again, Phase.SERVING, True))]
    (found,) = rollout_documents(plan, bodies, {})
    assert (found["stage"], found["why"]) == ("passed", "local restarts: 2")


def test_what_is_held_is_said_and_who_waits_for_it_says_why() -> None:
    held = ServicePlan()
    held.CopyFrom(NEW)
    held.paused = held.pinned = True
    bodies = [said("a", SERVES_OLD), said("b", (NEW, Phase.SERVING, True))]
    waits, passed = rollout_documents(Plan(site="south", services=[held]), bodies, {})
    assert (waits["paused"], waits["pinned"], waits["why"]) == (True, True, PAUSED)
    assert (passed["paused"], passed["why"]) == (True, "")
    free = rollout_documents(PLAN, bodies, {})
    assert not any("paused" in one or "pinned" in one for one in free)
