"""Registers as documents: a newer release's words do not stop the answer."""

import pytest

from node.agent.rollout_documents import rollout_documents
from node.agent.site_documents import phase_name, workload_documents
from protos.documents_pb2 import (
    Phase,
    PipelineState,
    Plan,
    ReplicaState,
    ServicePlan,
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
