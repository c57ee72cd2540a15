"""Two machines with one disk: who they say they are is the same, where they are is not."""

import copy

from tests.sim.nodes import SimNode
from tests.sim.transcripts.telling import ToldNode, Transcript
from tests.sim.world import World

COPY = "copy"
"""Where the second machine is."""
PAUSE_MS = 8_000
"""A link that ended soon counts as a dial that failed: what the back-off comes to after a few."""


class TwinWorld(World):
    """A world in which one node may be two machines. Of two links with one node a neighbour keeps
    the newer, and whoever lost the other waits before it dials again: as node/agent/links.py."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self._lost_ms: dict[frozenset[str], int] = {}

    def connect(self, one: str, other: str, wan: bool) -> bool:
        """A dial; the link that one of them had with the twin of the other ends."""
        pair = frozenset((one, other))
        waits = self.now_ms - self._lost_ms.get(pair, -PAUSE_MS) < PAUSE_MS
        if pair in self.linked:
            return True
        if waits or self._who(one) == self._who(other) or not self.answers(one, other):
            return False
        for here, there in ((one, other), (other, one)):
            lost = frozenset((here, self._twin(there)))
            if lost in self.linked:
                self._lost_ms[lost] = self.now_ms
                self.break_link(*sorted(lost))
        return super().connect(one, other, wan)

    def send(self, source: str, target: str, data: bytes) -> None:
        """One frame, to whichever of the two has the link."""
        super().send(source, self._linked_place(source, target), data)

    def _who(self, place: str) -> str:
        return self.hosts[place].contact.name

    def _twin(self, place: str) -> str:
        """The other place of the node that is there, or ""."""
        if COPY not in self.hosts or self._who(place) != self._who(COPY):
            return ""
        return self._who(COPY) if place == COPY else COPY

    def _linked_place(self, here: str, name: str) -> str:
        twin = self._twin(name)
        return twin if twin and frozenset((here, twin)) in self.linked else name


def copy_of(node: SimNode, transcript: Transcript) -> ToldNode:
    """Another machine with a copy of the node's disk, switched off."""
    name = node.name
    disk = copy.deepcopy(node.disk)
    second = ToldNode(node.world, node.site, name)
    node.world.hosts[name] = node
    second.name, second.disk, second.transcript = COPY, disk, transcript
    node.world.hosts[COPY] = second
    return second
