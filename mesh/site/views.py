"""The nodes of a site as placement sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from protos.documents_pb2 import Phase, PipelinePlan, ServicePlan, StableRegister


@dataclass(frozen=True, slots=True)
class NodeView:
    """A live node: what it has, and how many replicas of each service serve on it.

    `runs` and `pipelines` are what it has begun, whether it serves already or not. Placement asks
    for them only of a node that is `cordoned` (takes no new work) or `draining` (its work moves off
    as well).
    """

    node: str
    labels: Mapping[str, str]
    cores: int
    memory_bytes: int
    devices: frozenset[str]
    sources: frozenset[str]
    serving: Mapping[str, int]
    runs: Mapping[str, int] = field(default_factory=dict)
    pipelines: frozenset[str] = frozenset()
    cordoned: bool = False
    draining: bool = False
    quarantined: frozenset[tuple[str, str]] = frozenset()
    """Services and configurations that crash there again and again."""
    runtime_gone: bool = False
    """Nothing runs there now, whatever is placed there."""


def view(register: StableRegister) -> NodeView:
    """A node as its own register describes it."""
    serving: dict[str, int] = {}
    runs: dict[str, int] = {}
    begun: set[tuple[str, int]] = set()
    for replica in register.replicas:
        workload, phase = replica.workload, replica.phase
        if phase == Phase.SERVING:
            serving[workload] = serving.get(workload, 0) + 1
        if phase != Phase.FETCHING and (workload, replica.index) not in begun:
            begun.add((workload, replica.index))
            runs[workload] = runs.get(workload, 0) + 1
    return NodeView(
        node=register.node,
        labels=dict(register.labels),
        cores=register.capacity.cores,
        memory_bytes=register.capacity.memory_bytes,
        devices=frozenset(register.capacity.devices),
        sources=frozenset(register.sources),
        serving=serving,
        runs=runs,
        pipelines=frozenset(pipeline.workload for pipeline in register.pipelines),
        cordoned=register.cordoned or register.draining,
        draining=register.draining,
        quarantined=frozenset((r.workload, r.config) for r in register.replicas if r.quarantined),
        runtime_gone=register.runtime_gone,
    )


def views(registers: Iterable[StableRegister], live: Iterable[str]) -> list[NodeView]:
    """The live nodes whose registers are known, by name."""
    alive = set(live)
    return sorted(
        (view(register) for register in registers if register.node in alive),
        key=lambda one: one.node,
    )


def may_run(service: ServicePlan, node: NodeView) -> bool:
    """Whether the node has the labels and the device that the service asks for."""
    labels = all(node.labels.get(name) == value for name, value in service.match_labels.items())
    return labels and service.device in node.devices


def may_read(pipeline: PipelinePlan, node: NodeView) -> bool:
    """Whether the node's own configuration has the pipeline's source."""
    return pipeline.source in node.sources
