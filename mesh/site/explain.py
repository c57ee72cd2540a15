"""Why each node runs what it runs of a workload, or does not: the placement in words.

Everything here follows from the plan, the nodes as placement saw them, and its answer; nothing is
decided. Both may be a moment apart from each other: what is said is what the facts given say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh.hashing import ranked
from mesh.site.placement import Placement, comes_last, rank
from mesh.site.views import NodeView, may_read
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan

MIB = 1 << 20
NO_RUNTIME = "its runtime is gone, and nothing runs there"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one node stands to a workload."""

    node: str
    place: int
    """In the ranking of those that may run it, from 1; 0: it may not."""
    runs: int
    """How many replicas it should run now."""
    serves: int
    """How many serve there, as it says."""
    spare: bool
    why: str


def explain_service(
    service: ServicePlan, plan: Plan, nodes: Sequence[NodeView], placement: Placement
) -> list[Standing]:
    """Each node's standing to a service of `plan`: those that may run it first, by rank."""
    ranking = rank(service, nodes)
    costs = {one.name: one for one in plan.services}
    spares = placement.spares.get(service.name, ())
    standings = []
    for view in nodes:
        runs = placement.count(view.node, service.name)
        place = ranking.index(view.node) + 1 if view.node in ranking else 0
        spare = view.node in spares
        if not place:
            why = _unfit(service, view)
        elif view.cordoned and not runs:
            why = f"it is {'draining' if view.draining else 'cordoned'}: it takes no new work"
        elif comes_last(service, view):
            crashes = "quarantined, because it crashes there again and again"
            why = NO_RUNTIME if view.runtime_gone else crashes
            why += f": {'no other node has room' if runs else 'others come first'}"
        elif runs:
            why = f"{_ordinal(place)} by rendezvous of {len(ranking)} that may run it"
        else:
            why = _not_chosen(service, view, spare, _left(view, placement, costs))
        serves = view.serving.get(service.name, 0)
        standings.append(Standing(view.node, place, runs, serves, spare, why))
    return _sorted(standings)


def explain_pipeline(
    pipeline: PipelinePlan, nodes: Sequence[NodeView], placement: Placement
) -> list[Standing]:
    """Each node's standing to a pipeline: those that have its source first, by rank."""
    able = [view.node for view in nodes if may_read(pipeline, view)]
    ranking = ranked(f"pipeline {pipeline.name}", able)
    standings = []
    for view in nodes:
        runs = int(placement.pipelines.get(pipeline.name) == view.node)
        place = ranking.index(view.node) + 1 if view.node in ranking else 0
        if not place:
            why = f"its configuration has no source {pipeline.source!r}"
        elif view.cordoned and not runs:
            why = f"it is {'draining' if view.draining else 'cordoned'}: it takes no new work"
        elif view.runtime_gone:
            why = f"{NO_RUNTIME}: {'no other node can run it' if runs else 'others come first'}"
        else:
            which = _ordinal(place)
            why = f"{which} by rendezvous of {len(ranking)} that have the source"
        standings.append(Standing(view.node, place, runs, runs, False, why))
    return _sorted(standings)


def _sorted(standings: list[Standing]) -> list[Standing]:
    return sorted(standings, key=lambda one: (one.place == 0, one.place, one.node))


def _unfit(service: ServicePlan, view: NodeView) -> str:
    for name, value in sorted(service.match_labels.items()):
        has = view.labels.get(name)
        if has != value:
            said = f"{name}={has}" if has is not None else f"no label {name!r}"
            return f"it has {said}, and the service asks for {name}={value}"
    return f"it has no device {service.device!r}: {', '.join(sorted(view.devices))}"


def _not_chosen(service: ServicePlan, view: NodeView, spare: bool, left: tuple[int, int]) -> str:
    cores, memory_bytes = left
    if cores < service.cores or memory_bytes < service.memory_bytes:
        asked = f"{service.cores} cores and {service.memory_bytes // MIB} MiB"
        have = f"{cores} of {view.cores} cores and {memory_bytes // MIB} MiB"
        return f"no room: a replica asks for {asked}, {have} are left"
    if spare:
        return "a spare: it keeps the model ready, as next in the ranking"
    return "not needed: enough nodes come before it"


def _left(
    view: NodeView, placement: Placement, costs: Mapping[str, ServicePlan]
) -> tuple[int, int]:
    """Cores and bytes of memory that no replica placed there takes."""
    placed = placement.replicas.get(view.node, {})
    cores = sum(costs[name].cores * count for name, count in placed.items() if name in costs)
    memory = sum(
        costs[name].memory_bytes * count for name, count in placed.items() if name in costs
    )
    return view.cores - cores, view.memory_bytes - memory


def _ordinal(place: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(place, f"number {place}")
