"""What this node runs, of what the site decided.

What replaces comes before what is replaced goes. A new configuration takes the place of the old one
only once its artifact is here; from then on the runtime starts it beside the old one, which ends
when the new one serves. A replica that moved away goes once the nodes that should run it serve, and
have done so for long enough that everybody knows (mesh/site/handover.py). So a change, a node that
comes back, or two nodes that see the site differently for a moment cost some memory, never a
request.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mesh.site.configs import service_config as service_config
from mesh.site.placement import Placement
from mesh.site.views import NodeView
from protos.documents_pb2 import PipelinePlan, Plan, ServicePlan

RUNS = "runs here"
"""The use of an artifact whose model a node runs."""


@dataclass(frozen=True, slots=True, order=True)
class ReplicaKey:
    """One replica on this node, in one configuration."""

    workload: str
    index: int
    config: str


@dataclass(frozen=True)
class LocalWork:
    """What this node runs, keeps ready and still needs.

    `replicas` run; `waiting` would run if their artifact were here; `artifacts` are to be held.
    """

    replicas: tuple[ReplicaKey, ...]
    waiting: tuple[ReplicaKey, ...]
    pipelines: tuple[str, ...]
    artifacts: frozenset[bytes]


def pipeline_config(pipeline: PipelinePlan) -> str:
    """Digest of a pipeline's plan: any change restarts it (16 hex)."""
    return hashlib.sha256(pipeline.SerializeToString(deterministic=True)).hexdigest()[:16]


def decide(
    node: str,
    plan: Plan,
    placement: Placement,
    nodes: Sequence[NodeView],
    running: Iterable[ReplicaKey],
    serving: Iterable[ReplicaKey],
    held: Iterable[bytes],
    fresh: Collection[str] = (),
) -> LocalWork:
    """What `node` runs now.

    `running` are the replicas that the runtime was told to run last, `serving` those that serve,
    also beside one that is tried in their place, `held` the artifacts that are whole on this disk.
    `fresh` are services that serve as placed only since a moment: what moved away from here serves
    on meanwhile. What moved away because it crashes here is tried on until it serves there.
    """
    held_artifacts, good = set(held), set(serving)
    old = good.union(running)
    replicas: set[ReplicaKey] = set()
    waiting: set[ReplicaKey] = set()
    tried = next((one.quarantined for one in nodes if one.node == node), frozenset())
    for service in plan.services:
        mine = placement.count(node, service.name)
        config = service_config(service)
        wanted = {ReplicaKey(service.name, index, config) for index in range(mine)}
        here = service.artifact in held_artifacts
        (replicas if here else waiting).update(wanted)
        moved = service.name in fresh or not served_as_placed(service, placement, nodes, node, good)
        for index, key in _last_good(service.name, old, good).items():
            kept = key in good or (key.workload, key.config) in tried
            if moved and kept if index >= mine else not here:
                replicas.add(key)
                waiting.discard(key)
    mine_too = tuple(sorted(name for name, at in placement.pipelines.items() if at == node))
    return LocalWork(
        tuple(sorted(replicas)),
        tuple(sorted(waiting)),
        mine_too,
        artifacts_for(node, plan, placement),
    )


def artifacts_for(node: str, plan: Plan, placement: Placement) -> frozenset[bytes]:
    """The artifacts that the node must hold: of its replicas, its spares, and what is staged."""
    return frozenset(uses_of(node, plan, placement))


def uses_of(node: str, plan: Plan, placement: Placement) -> dict[bytes, str]:
    """The same, with the use that each has, for people."""
    uses: dict[bytes, str] = {}
    for service in plan.services:
        if placement.count(node, service.name):
            uses[service.artifact] = RUNS
        elif node in placement.spares.get(service.name, ()):
            uses.setdefault(service.artifact, f"spare of {service.name}")
    for model in plan.models:
        if model.staged:
            uses.setdefault(model.artifact, "staged")
    return uses


def _last_good(service: str, old: set[ReplicaKey], good: set[ReplicaKey]) -> dict[int, ReplicaKey]:
    """By index, the replica of the service that is worth keeping: the one that serves, if any."""
    mine = [key for key in old if key.workload == service]
    return {key.index: key for key in sorted(mine, key=lambda key: (key in good, key))}


def served_as_placed(
    service: ServicePlan,
    placement: Placement,
    nodes: Sequence[NodeView],
    node: str,
    good: Collection[ReplicaKey],
) -> bool:
    """Whether the replicas that the placement wants all serve where it wants them.

    Not so where it could place none at all: what still serves then is all that there is.
    """
    places = placement.nodes_of(service.name)
    if not places:
        return service.replicas_min == 0
    serving: Mapping[str, int] = {one.node: one.serving.get(service.name, 0) for one in nodes}
    own = sum(1 for key in good if key.workload == service.name and key.index < places.get(node, 0))
    return all(
        (own if other == node else serving.get(other, 0)) >= count
        for other, count in places.items()
    )
