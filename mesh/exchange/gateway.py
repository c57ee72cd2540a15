"""Which node talks to the master for its site."""

from mesh.exchange.membership import Membership
from mesh.hashing import first


class Gateway:
    """The gateway of one site, found anew only when something changed that it rests on."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._rests_on: object = None
        self._node: str | None = None

    def find(self) -> str | None:
        """The first by rendezvous among the live nodes that say they have a working path, and are
        not draining if another has one; None if no node has a path."""
        liveness, registers = self._membership.liveness, self._membership.registers
        rests_on = (liveness.generation, registers.with_wan, registers.draining)
        if self._rests_on != rests_on:
            self._rests_on = rests_on
            able = registers.with_wan.intersection(liveness.live())
            self._node = first("gateway", able - registers.draining or able)
        return self._node
