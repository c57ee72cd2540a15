"""The loads of nodes that this one keeps counts for and has no link with, asked of neighbours.

A load register goes over its writer's own links and is relayed by nobody, so that it costs each
node one message for each neighbour. Where a link is cut, whoever keeps the count of a service would
never hear of a node that is overloaded at its other end. Only who is linked with that node answers,
with its last word, which is then known to be of now, also where it is the same as before.
"""

from collections.abc import Collection

from mesh.core.loads import LOAD_EVERY_MS
from mesh.events import Instruction, Send
from mesh.exchange.frames import encode
from mesh.hashing import ranked
from mesh.registers.store import Record, Registers
from protos.documents_pb2 import Phase
from protos.peer_pb2 import Want

ASKED = 2
"""Neighbours that are asked at once, others each time: one may be cut off from it as well."""
CONFIRMED_MS = 5 * LOAD_EVERY_MS
"""For how long a load counts since somebody said that it is the last one: with few neighbours that
are linked with its writer, one of them is asked among others."""


def is_confirmed(registers: Registers, node: str, now_ms: int) -> bool:
    """Whether the load of a node that is not linked is known to be of now."""
    heard_ms = registers.load_heard_ms(node)
    return heard_ms is not None and now_ms - heard_ms < CONFIRMED_MS


class FarLoads:
    """What one node asks of its neighbours, as often as loads are published."""

    def __init__(self, node: str, registers: Registers, now_ms: int) -> None:
        self._node = node
        self._registers = registers
        self._asked_ms = now_ms
        self._round = 0

    def ask(
        self, kept: Collection[str], live: Collection[str], linked: Collection[str], now_ms: int
    ) -> list[Instruction]:
        """Questions for the loads of the live nodes that serve any of the services `kept` here and
        are not `linked`, where it is time."""
        if now_ms - self._asked_ms < LOAD_EVERY_MS:
            return []
        self._asked_ms = now_ms
        records = map(self._registers.get, sorted(set(live) - {self._node, *linked}))
        far = [r.body.node for r in records if r is not None and _serves(r, kept)]
        if not far:
            return []
        self._round += 1
        data = encode(want=Want(loads=far))
        asked = ranked(f"loads {self._node} {self._round}", linked)[:ASKED]
        return [Send(neighbour, data, "loads of nodes without a link") for neighbour in asked]


def _serves(record: Record, kept: Collection[str]) -> bool:
    return any(r.phase == Phase.SERVING and r.workload in kept for r in record.body.replicas)
