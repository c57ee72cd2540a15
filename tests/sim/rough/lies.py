"""Absurd claims of a node about itself: what a stolen node can sign, and nobody must suffer by."""

from collections.abc import Callable

from mesh.site.local import service_config
from protos.documents_pb2 import Phase, Plan, ServiceCount, ServiceVerdict, StableRegister

Lie = Callable[[StableRegister, Plan], None]


def _cores(said: StableRegister, _: Plan) -> None:
    said.capacity.cores = 10**6
    said.capacity.memory_bytes = 1 << 50


def _nothing(said: StableRegister, _: Plan) -> None:
    said.capacity.cores = 0
    said.capacity.memory_bytes = 0


def _counts(said: StableRegister, plan: Plan) -> None:
    del said.counts[:]
    said.counts.extend(ServiceCount(workload=s.name, replicas=10**6) for s in plan.services)


def _verdicts(said: StableRegister, plan: Plan) -> None:
    del said.verdicts[:]
    said.verdicts.extend(
        ServiceVerdict(workload=s.name, config=service_config(s), reason="because")
        for s in plan.services
    )


def _failed(said: StableRegister, _: Plan) -> None:
    for replica in said.replicas:
        replica.phase = Phase.FAILED


LIES: dict[str, Lie] = {
    "cores": _cores,
    "nothing": _nothing,
    "counts": _counts,
    "verdicts": _verdicts,
    "failed": _failed,
}


def told(what: str, content: StableRegister, plan: Plan) -> StableRegister:
    """The register's content with that lie in it; unchanged for ""."""
    if not what:
        return content
    said = StableRegister()
    said.CopyFrom(content)
    LIES[what](said, plan)
    return said
