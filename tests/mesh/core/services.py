"""Services, what is refused of them, and what a runtime says of their replicas."""

from mesh.site.local import service_config
from protos.documents_pb2 import (
    Phase,
    ReplicaState,
    ServicePlan,
    ServiceVerdict,
)
from protos.runtime_pb2 import ReplicaStatus


def faces(version: str = "2", **fields: object) -> ServicePlan:
    values = {"name": "faces", "model": "m", "artifact": version.encode(), "soak_ms": 1, **fields}
    return ServicePlan(model_version=version, **values)  # type: ignore[arg-type]


def verdict(service: ServicePlan, reason: str = "wrong") -> ServiceVerdict:
    return ServiceVerdict(workload=service.name, config=service_config(service), reason=reason)


def status(phase: Phase, pid: int = 1, reason: str = "") -> ReplicaStatus:
    state = ReplicaState(workload="faces", config="c", phase=phase, reason=reason)
    return ReplicaStatus(state=state, pid=pid)
