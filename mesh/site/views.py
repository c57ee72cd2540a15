"""The nodes of a site as placement sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protos.documents_pb2 import Phase, PipelinePlan, ServicePlan, StableRegister


@dataclass(frozen=True, slots=True)
class NodeView:
    """A live node: what it has, and how many replicas of each service serve on it."""

    node: str
    labels: Mapping[str, str]
    cores: int
    memory_bytes: int
    devices: frozenset[str]
    sources: frozenset[str]
    serving: Mapping[str, int]


def view(register: StableRegister) -> NodeView:
    """A node as its own register describes it."""
    serving: dict[str, int] = {}
    for replica in register.replicas:
        if replica.phase == Phase.SERVING:
            serving[replica.workload] = serving.get(replica.workload, 0) + 1
    return NodeView(
        node=register.node,
        labels=dict(register.labels),
        cores=register.capacity.cores,
        memory_bytes=register.capacity.memory_bytes,
        devices=frozenset(register.capacity.devices),
        sources=frozenset(register.sources),
        serving=serving,
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
