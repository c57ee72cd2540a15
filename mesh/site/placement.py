"""Where the workloads of a plan run.

Weighted rendezvous hashing over the live nodes that fit: every node that knows the same plan and
the same nodes computes the same answer, and a node lost or added moves only what it must.

- Replicas of a service spread: each node that fits takes one before any takes a second. They share
  a node where there are not enough; what fits nowhere is pending.
- Spares are the next nodes in the ranking: they hold the model, so a failover downloads nothing.
- A pipeline runs on the first node that has its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.hashing import first, ranked_by_weight
from mesh.site.views import NodeView, may_read, may_run
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan

REPLICAS_MAX = 256
"""Of one service at one site. Above it a plan is refused when it is compiled, and capped here."""


@dataclass(frozen=True)
class Placement:
    """The answer: replicas by node and service, spares by service, pipelines by node.

    `pending` says what fits nowhere: workload to a reason for people.
    """

    replicas: Mapping[str, Mapping[str, int]]
    spares: Mapping[str, Sequence[str]]
    pipelines: Mapping[str, str]
    pending: Mapping[str, str]

    def count(self, node: str, service: str) -> int:
        """How many replicas of the service the node runs."""
        return self.replicas.get(node, {}).get(service, 0)

    def nodes_of(self, service: str) -> dict[str, int]:
        """The nodes that run the service, and how many replicas each."""
        return {
            node: counts[service] for node, counts in self.replicas.items() if counts.get(service)
        }


@dataclass
class _Room:
    """What is left on a node."""

    cores: int
    memory_bytes: int

    def take(self, service: ServicePlan) -> bool:
        if self.cores < service.cores or self.memory_bytes < service.memory_bytes:
            return False
        self.cores -= service.cores
        self.memory_bytes -= service.memory_bytes
        return True


@dataclass
class _Draft:
    rooms: dict[str, _Room]
    replicas: dict[str, dict[str, int]] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)


def place(plan: Plan, nodes: Sequence[NodeView]) -> Placement:
    """Places all workloads of `plan` on the live `nodes`."""
    draft = _Draft({node.node: _Room(node.cores, node.memory_bytes) for node in nodes})
    spares: dict[str, list[str]] = {}
    for service in sorted(plan.services, key=lambda one: one.name):
        ranking = rank(service, nodes)
        _place_service(service, ranking, draft)
        used = {node for node in ranking if draft.replicas.get(node, {}).get(service.name)}
        spares[service.name] = [node for node in ranking if node not in used][: service.spares]
    pipelines: dict[str, str] = {}
    for pipeline in sorted(plan.pipelines, key=lambda one: one.name):
        _place_pipeline(pipeline, nodes, pipelines, draft.pending)
    return Placement(draft.replicas, spares, pipelines, draft.pending)


def rank(service: ServicePlan, nodes: Sequence[NodeView]) -> list[str]:
    """The nodes that may run the service, the best first; larger nodes are first more often."""
    weights = {n.node: float(max(1, n.cores)) for n in nodes if may_run(service, n)}
    return ranked_by_weight(f"service {service.name}", weights)


def _place_service(service: ServicePlan, ranking: Sequence[str], draft: _Draft) -> None:
    missing = min(service.replicas_min, REPLICAS_MAX)
    if not ranking and missing:
        draft.pending[service.name] = "no live node has the labels and the device it asks for"
        return
    while missing:
        placed = 0
        for node in ranking:
            if placed < missing and draft.rooms[node].take(service):
                counts = draft.replicas.setdefault(node, {})
                counts[service.name] = counts.get(service.name, 0) + 1
                placed += 1
        missing -= placed
        if not placed:
            draft.pending[service.name] = (
                f"{missing} of {service.replicas_min} replicas fit on no live node: add a node, or "
                f"ask for less than {service.cores} cores and {service.memory_bytes} bytes each"
            )
            return


def _place_pipeline(
    pipeline: PipelinePlan,
    nodes: Sequence[NodeView],
    pipelines: dict[str, str],
    pending: dict[str, str],
) -> None:
    if pipeline.exclusive and not pipeline.run_on_split:
        pending[pipeline.name] = (
            "onSplit: stop needs leases, which this release does not have: use onSplit: run"
        )
        return
    able = [node.node for node in nodes if may_read(pipeline, node)]
    chosen = first(f"pipeline {pipeline.name}", able)
    if chosen is None:
        pending[pipeline.name] = (
            f"no live node has the source {pipeline.source!r}: add [sources.{pipeline.source}] "
            "to a node's meshd.toml"
        )
        return
    pipelines[pipeline.name] = chosen
