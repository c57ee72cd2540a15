"""What a node says of what runs on it.

Placement leaves a cordoned node what it has begun, and asks its register what that is. So such a
node says it also while its runtime does not: before the runtime has started it, and while the
runtime is gone, or starts anew.
"""

from typing import TYPE_CHECKING

from mesh.site.local import ReplicaKey, pipeline_config
from protos.documents_pb2 import Phase, PipelineState, ReplicaState, ServicePlan

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

GONE = "the runtime is gone"


def replicas(core: "NodeCore") -> list[ReplicaState]:
    """Those of the runtime, and of a cordoned node those that it has begun."""
    states = [status.state for status in core.runtime.state.replicas]
    said = [] if core.runtime.gone else states
    if core.cordon.draining is None:
        return said
    known = set(core.runtime.keys())
    told = [one for one in core.share.told_last.replicas if one[0] not in known]
    return [
        *(said or [_lost(state) for state in states]),
        *(replica_state(key, plan, Phase.LOADING, "") for key, plan in told),
    ]


def pipelines(core: "NodeCore") -> list[PipelineState]:
    """Those of the runtime, and of a cordoned node those that it has begun."""
    states = [status.state for status in core.runtime.state.pipelines]
    said = [] if core.runtime.gone else states
    if core.cordon.draining is None:
        return said
    known = {state.workload for state in states}
    told = [plan for plan in core.share.told_last.pipelines if plan.name not in known]
    return [
        *(said or [_lost_pipeline(state) for state in states]),
        *(
            PipelineState(workload=p.name, config=pipeline_config(p), phase=Phase.LOADING)
            for p in told
        ),
    ]


def replica_state(key: ReplicaKey, plan: ServicePlan, phase: Phase, reason: str) -> ReplicaState:
    """What is said of a replica that the runtime does not know."""
    return ReplicaState(
        workload=key.workload,
        index=key.index,
        config=key.config,
        phase=phase,
        reason=reason,
        model=plan.model,
        model_version=plan.model_version,
    )


def _lost(state: ReplicaState) -> ReplicaState:
    lost = ReplicaState()
    lost.CopyFrom(state)
    lost.phase, lost.reason, lost.soaked = Phase.FAILED, GONE, False
    return lost


def _lost_pipeline(state: PipelineState) -> PipelineState:
    lost = PipelineState()
    lost.CopyFrom(state)
    lost.phase, lost.reason = Phase.FAILED, GONE
    return lost
