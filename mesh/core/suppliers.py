"""Whom this node's swarm may fetch from: the live nodes, and which of them have a WAN path."""

from typing import TYPE_CHECKING

from mesh.core.messages import NodeOutput

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


class Suppliers:
    """What the swarm was told last; it is told again where that is another."""

    def __init__(self) -> None:
        self._rests_on: tuple[int, frozenset[str], bool] = (0, frozenset(), False)
        self._members: tuple[list[str], list[str]] = ([], [])

    def tell(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Who is there to fetch from, and from outside, where that changed."""
        liveness, registers = core.membership.liveness, core.membership.registers
        rests_on = (liveness.generation, registers.with_wan, core.wan)
        if rests_on == self._rests_on:
            return []
        self._rests_on, live = rests_on, liveness.live()
        members = (live, [node for node in live if _has_wan(core, node)])
        if members == self._members:
            return []
        self._members = members
        return [*core.artifacts.carry(core.artifacts.swarm.members(*members, now_ms))]


def _has_wan(core: "NodeCore", node: str) -> bool:
    return core.wan if node == core.name else node in core.membership.registers.with_wan
