"""When a node decides again although nothing told it to.

Most of what a decision rests on is told when it changes. The rest is looked at once a second, and
so is the outcome: a decision that led to anything is followed by another, which sees what the first
has changed (this node's own register, what its runtime was told), until one leads to nothing.
"""

from typing import TYPE_CHECKING

from mesh.core.conditions import active

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

LOOK_EVERY_MS = 1_000
"""Between two looks at what changes untold. No decision rests on time alone: what becomes due with
time (counts, an outage's alarm, the wait after a start) shows in what is looked at, or is told."""
ANYWAY_MS = 10_000
"""The longest time without a decision: what should be told and is not costs no more than this."""


class Quiet:
    """Whether a node may leave it at what it has decided."""

    def __init__(self, now_ms: int) -> None:
        self._looked_ms = now_ms
        self._decided_ms = now_ms
        self._rests_on: object = None

    def decided(self, core: "NodeCore", outcome: bool, now_ms: int) -> None:
        """The node has decided; `outcome` says whether anything is to be done."""
        self._looked_ms = self._decided_ms = now_ms
        self._rests_on = None if outcome else _untold(core)

    def is_over(self, core: "NodeCore", now_ms: int) -> bool:
        """Whether it is time to decide again."""
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return False
        self._looked_ms = now_ms
        return now_ms - self._decided_ms >= ANYWAY_MS or self._rests_on != _untold(core)


def _untold(core: "NodeCore") -> object:
    """What decisions rest on and nobody tells of, to be compared."""
    membership = core.membership
    return (
        core.register.version,
        membership.registers.load_generation,
        membership.liveness.generation,
        core.peer.heads.state.floor,
        core.alarms.generation,
        core.share.counts.numbers(),
        active(core),
    )
