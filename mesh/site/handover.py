"""How long what replaces has served: what is replaced serves on until everybody can know of it.

A neighbour hears of a replica that serves by a register, and its runtime by the routes that follow.
Whoever forwards requests to a replica that moves away must know of its successor by then, or they
fail. So the moved one goes `LINGER_MS` after the successors serve, and not at once. An agent that
starts anew has not seen for how long they serve: it waits that long again, a second.
"""

from collections.abc import Collection, Iterable, Sequence

from mesh.site.local import ReplicaKey, served_as_placed
from mesh.site.placement import Placement
from mesh.site.views import NodeView
from protos.documents_pb2 import Plan

LINGER_MS = 1_000
"""A register reaches a neighbour in milliseconds and is decided on within 50 of them; the rest is
for a busy box, and for one that is reached through another only."""


class Handover:
    """Since when the services that move away from this node serve as they are placed."""

    def __init__(self) -> None:
        self._since_ms: dict[str, int] = {}
        self._due_ms: int | None = None

    def fresh(self, as_placed: Iterable[str], now_ms: int) -> set[str]:
        """Of the services that serve `as_placed` now, those that do so since a moment only."""
        self._since_ms = {name: self._since_ms.get(name, now_ms) for name in as_placed}
        due = {name: since + LINGER_MS for name, since in self._since_ms.items()}
        fresh = {name for name in due if due[name] > now_ms}
        self._due_ms = min((due[name] for name in fresh), default=None)
        return fresh

    def is_due(self, now_ms: int) -> bool:
        """Whether a service that was fresh is so no more."""
        return self._due_ms is not None and now_ms >= self._due_ms


def moved_and_served(
    node: str,
    plan: Plan,
    placement: Placement,
    nodes: Sequence[NodeView],
    serving: Collection[ReplicaKey],
) -> list[str]:
    """The services of which more serve on `node` than it should run, and that serve as placed."""
    surplus = {key.workload for key in serving if key.index >= placement.count(node, key.workload)}
    return [
        service.name
        for service in plan.services
        if service.name in surplus and served_as_placed(service, placement, nodes, node, serving)
    ]
