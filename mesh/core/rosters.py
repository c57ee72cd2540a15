"""The rosters that leases are counted by: that of the state in force, and earlier ones for as long
as another node may still go by them (mesh/site/leases.py says when that is over).

A site may be split while its roster changes, and the part that does not hear of it goes on as
before. So a quorum is needed of each roster that still counts, and what is remembered of them is on
the disk, because a node that starts anew must not forget it.
"""

from collections.abc import Collection, Iterable, Mapping

from mesh.events import Instruction, SaveDocument
from mesh.registers.store import NODES_MAX
from mesh.site.leases import FREE_MS, Earlier, is_over
from protos.documents_pb2 import EarlierRoster, KeptRosters

ROSTERS = "rosters"
"""The document that holds them, as KeptRosters."""
EARLIER_MAX = 16
"""Rosters that still count: so many changes within one split are none that a site sees. Beyond,
this node neither asks nor grants. Worst case 16 of 256 names, 80 KB in a frame."""


class Rosters:
    """`nodes` are those of the roster in force, `since` the counter of the state that brought it,
    `earlier` the rosters that count as well."""

    def __init__(self, kept: bytes) -> None:
        self.nodes: tuple[str, ...] = ()
        self.since = 0
        self.earlier: tuple[Earlier, ...] = ()
        self._over_ms: dict[Earlier, int] = {}
        self._kept = True
        if kept:
            body = KeptRosters.FromString(kept)
            self.nodes, self.since = tuple(body.nodes), body.since
            self.earlier = read(body.earlier)

    @property
    def too_many(self) -> bool:
        """Whether more changed than this node can count by."""
        return len(self.earlier) > EARLIER_MAX

    def use(self, nodes: Iterable[str], counter: int) -> None:
        """Goes by the roster of a state that was applied."""
        roster = tuple(sorted(nodes))
        if roster == self.nodes or not roster:
            return
        if self.nodes:
            self.earlier = (*self.earlier, Earlier(self.nodes, counter))
        self.nodes, self.since, self._kept = roster, counter, False

    def look(self, applied: Mapping[str, int], now_ms: int) -> list[Instruction]:
        """Drops the earlier rosters that have been over for as long as a lease may last, and keeps
        what is another. `applied`: by node, the counter of the state that it goes by, as it says.
        """
        over = [one for one in self.earlier if is_over(one, self.nodes, applied)]
        self._over_ms = {one: self._over_ms.get(one, now_ms) for one in over}
        gone = {one for one, since_ms in self._over_ms.items() if now_ms - since_ms >= FREE_MS}
        if self._kept and not gone:
            return []
        self.earlier, self._kept = tuple(o for o in self.earlier if o not in gone), True
        body = KeptRosters(nodes=self.nodes, since=self.since, earlier=written(self.earlier))
        data = body.SerializeToString(deterministic=True)
        return [SaveDocument(ROSTERS, data, "the rosters that leases are counted by")]


def is_bounded(messages: Collection[EarlierRoster]) -> bool:
    """Whether another node's earlier rosters are no more than a site can have."""
    return len(messages) <= EARLIER_MAX and all(len(one.nodes) <= NODES_MAX for one in messages)


def written(earlier: Iterable[Earlier]) -> list[EarlierRoster]:
    """Earlier rosters as they are sent and kept."""
    return [EarlierRoster(nodes=one.nodes, until=one.until) for one in earlier]


def read(messages: Iterable[EarlierRoster]) -> tuple[Earlier, ...]:
    """Earlier rosters as they were sent or kept."""
    return tuple(Earlier(tuple(one.nodes), one.until) for one in messages)
