"""Where the workloads of a plan run.

Weighted rendezvous hashing over the live nodes that fit: every node that knows the same plan and
the same nodes computes the same answer, and a node lost or added moves only what it must.

- Replicas of a service spread: each node that fits takes one before any takes a second. They share
  a node where there are not enough; what fits nowhere is pending.
- Services are placed by name, each up to its minimum before the next. Where one of them lacks room
  then that it would have in rounds, all are placed in rounds: each has its first replica before any
  has its second. What load asks for above the minima takes what is left, in rounds as well.
- Spares are the next nodes in the ranking: they hold the model, so a failover downloads nothing.
  Of a service that sleeps the node that would run it is one, so that waking it downloads nothing.
- A pipeline runs on the first node that has its source.
- A node where a service's configuration crashes again and again (it is *quarantined* there) runs it
  only where no other node has room for it. So with all services where a node's runtime is gone;
  a pipeline runs there only if no other node has its source.
- A cordoned node takes no more than it has begun. A draining one keeps of that only what fits on no
  other: that *stays*, so that draining never takes a service below what is asked for.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mesh.hashing import first, ranked_by_weight
from mesh.site.configs import service_config
from mesh.site.views import NodeView, may_read, may_run
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan

REPLICAS_MAX = 256
"""Of one service at one site. Above it a plan is refused when it is compiled, and capped here."""

CORES_TIMES_MAX = 4
"""A node counts for at most so many times the cores of the middle one (the lower median) of those
that may run a service, whatever its register claims: one that lies is first for 4 of n + 3 services
and not for all. A server of 16 cores among boxes of four counts in full; a larger one takes the
rest where the others have no room."""


@dataclass(frozen=True)
class Placement:
    """The answer: replicas by node and service, spares by service, pipelines by node.

    `pending` says what fits nowhere: workload to a reason for people; `stays` what a draining node
    cannot give away: node and workload to a reason.
    """

    replicas: Mapping[str, Mapping[str, int]]
    spares: Mapping[str, Sequence[str]]
    pipelines: Mapping[str, str]
    pending: Mapping[str, str]
    stays: Mapping[tuple[str, str], str] = field(default_factory=dict)

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
    views: Mapping[str, NodeView]
    replicas: dict[str, dict[str, int]] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    stays: dict[tuple[str, str], str] = field(default_factory=dict)
    placed: Counter[str] = field(default_factory=Counter)
    takers: dict[str, Iterator[str]] = field(default_factory=dict)

    def give(self, asking: Iterable[str]) -> None:
        """One replica more for each of those names, in that order, where there is room."""
        for name in asking:
            self.placed[name] += next(self.takers[name], None) is not None

    def take(self, node: str, service: ServicePlan) -> bool:
        """Gives the node one replica more, if it may have it and there is room."""
        view, counts = self.views[node], self.replicas.get(node, {})
        count = counts.get(service.name, 0)
        if view.cordoned and count >= view.runs.get(service.name, 0):
            return False
        if not self.rooms[node].take(service):
            return False
        self.replicas.setdefault(node, {})[service.name] = count + 1
        return True


def place(
    plan: Plan, nodes: Sequence[NodeView], least: Mapping[str, int] | None = None
) -> Placement:
    """Places all workloads of `plan` on the live `nodes`. `least` is how many replicas of each
    service come before what others have above that; None: all that the plan asks for."""
    services = sorted(plan.services, key=lambda one: one.name)
    rankings = {service.name: rank(service, nodes) for service in services}
    wanted = {service.name: min(service.replicas_min, REPLICAS_MAX) for service in services}
    first = _minima(wanted, least or {})
    draft = _with_minima(services, rankings, nodes, first)
    draft.give(_in_rounds({name: range(first[name], count) for name, count in wanted.items()}))
    spares: dict[str, list[str]] = {}
    for service in services:
        ranking = rankings[service.name]
        missing = wanted[service.name] - draft.placed[service.name]
        _tell_what_is_short(service, ranking, missing, draft)
        free = [node for node in ranking if not draft.views[node].cordoned]
        used = {node for node in free if draft.replicas.get(node, {}).get(service.name)}
        kept = service.spares + (service.replicas_min == 0 < service.replicas_max)
        spares[service.name] = [node for node in free if node not in used][:kept]
    for pipeline in sorted(plan.pipelines, key=lambda one: one.name):
        _place_pipeline(pipeline, nodes, draft)
    return Placement(draft.replicas, spares, draft.pipelines, draft.pending, draft.stays)


def rank(service: ServicePlan, nodes: Sequence[NodeView]) -> list[str]:
    """The nodes that may run the service, the best first; larger nodes are first more often. Those
    where it does not run now, or not for long, come last."""
    weights = _weights({n.node: n.cores for n in nodes if may_run(service, n)})
    last = {n.node for n in nodes if comes_last(service, n)}
    ranking = ranked_by_weight(f"service {service.name}", weights)
    return sorted(ranking, key=lambda node: node in last) if last else ranking


def _weights(cores: Mapping[str, int]) -> dict[str, float]:
    """What each node counts for."""
    most = CORES_TIMES_MAX * max(1, statistics.median_low(cores.values())) if cores else 0
    return {node: float(max(1, min(count, most))) for node, count in cores.items()}


def is_quarantined(service: ServicePlan, node: NodeView) -> bool:
    """Whether the service, as it is configured now, crashes on the node again and again."""
    return bool(node.quarantined) and (service.name, service_config(service)) in node.quarantined


def comes_last(service: ServicePlan, node: NodeView) -> bool:
    """Whether any other node is asked first to run the service."""
    return node.runtime_gone or is_quarantined(service, node)


def _minima(wanted: Mapping[str, int], least: Mapping[str, int]) -> dict[str, int]:
    """How many replicas of each service come before what any has above that. Of a service that may
    sleep and is awake the first is among them: a request waits for it."""
    return {name: min(count, max(1, least.get(name, count))) for name, count in wanted.items()}


def _with_minima(
    services: Sequence[ServicePlan],
    rankings: Mapping[str, Sequence[str]],
    nodes: Sequence[NodeView],
    first: Mapping[str, int],
) -> _Draft:
    """All services with room for so many replicas each: by name, or in rounds if any has more so.
    What fits nowhere has no more so, and moves nothing."""
    by_name = _draft(services, rankings, nodes)
    by_name.give(name for name, count in first.items() for _ in range(count))
    if all(by_name.placed[name] == count for name, count in first.items()):
        return by_name
    rounds = _draft(services, rankings, nodes)
    rounds.give(_in_rounds({name: range(count) for name, count in first.items()}))
    is_fairer = any(rounds.placed[name] > by_name.placed[name] for name in first)
    return rounds if is_fairer else by_name


def _in_rounds(indices: Mapping[str, Iterable[int]]) -> list[str]:
    """The services in the order in which they ask: for all first replicas, then all second ones."""
    return [name for _, name in sorted((i, name) for name, some in indices.items() for i in some)]


def _draft(
    services: Sequence[ServicePlan],
    rankings: Mapping[str, Sequence[str]],
    nodes: Sequence[NodeView],
) -> _Draft:
    """The nodes as they are, with nothing placed on them."""
    rooms = {node.node: _Room(node.cores, node.memory_bytes) for node in nodes}
    draft = _Draft(rooms, {node.node: node for node in nodes})
    draft.takers = {one.name: _takers(one, rankings[one.name], draft) for one in services}
    return draft


def _takers(service: ServicePlan, ranking: Sequence[str], draft: _Draft) -> Iterator[str]:
    """The nodes that take a replica each, one after the other, for as long as any has room. Room
    only ever shrinks: who had none is not asked again."""
    views = draft.views
    failing = [node for node in ranking if comes_last(service, views[node])]
    well = [node for node in ranking if node not in failing]
    draining = [node for node in well if views[node].draining]
    staying = [node for node in well if not views[node].draining]
    # What works on a node that is to be emptied is worth more than what fails on another.
    for left in (staying, draining, failing):
        while left:
            asked, left = left, []
            for node in asked:
                if draft.take(node, service):
                    yield node
                    left.append(node)


def _tell_what_is_short(
    service: ServicePlan, ranking: Sequence[str], missing: int, draft: _Draft
) -> None:
    """Says what fits nowhere, and what a draining node cannot give away."""
    if not ranking and missing:
        draft.pending[service.name] = "no live node has the labels and the device it asks for"
        return
    for node in ranking:
        count = draft.replicas.get(node, {}).get(service.name, 0)
        if count and draft.views[node].draining:
            draft.stays[node, service.name] = (
                f"{count} of its replicas fit on no other live node: add a node, ask for fewer "
                f"replicas, or `meshctl uncordon {node}`"
            )
    if missing:
        draft.pending[service.name] = (
            f"{missing} of {service.replicas_min} replicas fit on no live node: add a node, or "
            f"ask for less than {service.cores} cores and {service.memory_bytes} bytes each"
            + _or_uncordon(ranking, draft)
        )


def _or_uncordon(ranking: Sequence[str], draft: _Draft) -> str:
    """The other way out, where a node that could be asked is cordoned."""
    cordoned = [node for node in ranking if draft.views[node].cordoned]
    return f", or `meshctl uncordon {cordoned[0]}`" if cordoned else ""


def _place_pipeline(pipeline: PipelinePlan, nodes: Sequence[NodeView], draft: _Draft) -> None:
    name, chosen = pipeline.name, reader(pipeline, nodes)
    if chosen is None:
        able = [node for node in nodes if may_read(pipeline, node)]
        draft.pending[name] = _no_reader(pipeline, able)
        return
    draft.pipelines[name] = chosen
    if draft.views[chosen].draining:
        draft.stays[chosen, name] = (
            f"no other live node that takes work has its source {pipeline.source!r}: add "
            f"[sources.{pipeline.source}] to another node's meshd.toml, or "
            f"`meshctl uncordon {chosen}`"
        )


def reader(pipeline: PipelinePlan, nodes: Sequence[NodeView]) -> str | None:
    """The one of the nodes that should run the pipeline, or None."""
    able = [node for node in nodes if may_read(pipeline, node)]
    may = [one for one in able if not one.cordoned or pipeline.name in one.pipelines]
    here = [one for one in may if not one.runtime_gone] or may
    staying = [one.node for one in here if not one.draining]
    return first(f"pipeline {pipeline.name}", staying or [one.node for one in here])


def _no_reader(pipeline: PipelinePlan, able: Sequence[NodeView]) -> str:
    if able:
        return (
            f"every live node with the source {pipeline.source!r} is cordoned: "
            f"`meshctl uncordon {able[0].node}`"
        )
    return (
        f"no live node has the source {pipeline.source!r}: add [sources.{pipeline.source}] "
        "to a node's meshd.toml"
    )
