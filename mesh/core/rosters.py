"""The rosters that leases are counted by: that of the state in force, and earlier ones for as long
as another node may still go by them (mesh/site/leases.py says when that is over).

A site may be split while its roster changes, and the part that does not hear of it goes on as
before. So a quorum is needed of each roster that still counts: those that the state tells of
(mesh/site/rosters.py), and the one that this node went by itself where the state does not tell it,
as of a master of an older release. What is remembered is on the disk, because a node that starts
anew must not forget it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from mesh.core.in_force import FIRST
from mesh.events import Instruction, SaveDocument
from mesh.hashing import sha256
from mesh.site.leases import FREE_MS, Earlier, Member, is_over
from mesh.site.rosters import members, rosters_before
from protos.documents_pb2 import EarlierRoster, KeptRosters, SiteBranch

ROSTERS = "rosters"
"""The document that holds them, as KeptRosters."""
EARLIER_MAX = 16
"""Rosters that still count: so many changes within one split are none that a site sees. Beyond,
this node neither asks nor grants."""
MEMBERS_MAX = 2048
"""Of those rosters together, 100 bytes each: with the rest of a grant they go into a frame of
256 KiB. Sixteen rosters of 50 nodes have 800."""


class Rosters:
    """`nodes` are those of the roster in force, `since` the counter of the state that brought it,
    `earlier` the rosters that count as well; `generation` is the trust generation of it all."""

    def __init__(self, kept: bytes) -> None:
        try:
            body = KeptRosters.FromString(kept)
        except DecodeError:
            body = KeptRosters()  # of another release, or damaged: the state tells them again
        self.nodes = _members(body.nodes, body.tls_keys)
        self.since = body.since
        self.generation = body.trust_generation or FIRST
        self.earlier = read(body.earlier, ())
        self._over = set(body.over)
        """Of the rosters that the state tells, those by which nobody goes any more (`_digest`)."""
        self._over_ms: dict[Earlier, int] = {}
        self._counter = self._continued = 0
        """Of the state that was used last, and what that says."""
        self._kept = True

    @property
    def too_many(self) -> bool:
        """Whether more changed than this node can count by."""
        return not is_bounded(self.earlier)

    def is_over(self, earlier: Earlier) -> bool:
        """Whether this node has seen that nobody goes by it any more. That stays so, though the
        registers that told it may be gone."""
        return bool(self._over) and _digest(earlier) in self._over

    def counting(self) -> list[tuple[Member, ...]]:
        """All rosters of which a quorum is needed, the one in force first."""
        return [self.nodes, *(one.nodes for one in self.earlier)]

    def use(self, branch: SiteBranch, counter: int, generation: int) -> None:
        """Goes by the roster of a state that was applied, which has this counter and trust
        generation."""
        roster = members(branch)
        if not roster:
            return
        is_later = self._begin(generation, counter)
        self._take_keys(roster)
        told = rosters_before(branch, counter)
        self._continued = min(branch.continued, counter)
        self._over &= {_digest(one) for one in told}
        held = set(self.earlier)
        new = [one for one in told if one not in held and not self.is_over(one)]
        own: list[Earlier] = []
        # Of a roster that this node has gone by later than until then, the state knows nothing.
        known = [one.nodes for one in told if is_later and one.until > self._counter]
        self._counter = counter
        if self.nodes not in (roster, (), *known):
            own.append(Earlier(self.nodes, counter))
        if roster != self.nodes:
            self.nodes, self.since, self._kept = roster, counter, False
        if own or new:
            self.earlier, self._kept = (*own, *self.earlier, *new), False
        # The same nodes as before, after others between: who asks by the former ones is refused.
        self.since = max([self.since, self._continued, *(one.until for one in told)])

    def _begin(self, generation: int, counter: int) -> bool:
        """Whether this is a state of the trust generation of before. Under another one counters
        begin anew: whatever was before this state, nobody knows of a later one yet."""
        if generation == self.generation:
            return True
        self.generation, self.since, self._kept = generation, counter, False
        self.earlier = tuple(dict.fromkeys(Earlier(one.nodes, counter) for one in self.earlier))
        self._over.clear()
        return False

    def _take_keys(self, roster: Sequence[Member]) -> None:
        """Of what an older release kept, nodes had no keys but those that they have now."""
        self.nodes = with_keys(self.nodes, roster)
        self.earlier = tuple(Earlier(with_keys(o.nodes, roster), o.until) for o in self.earlier)

    def look(self, applied: Mapping[Member, int], now_ms: int) -> list[Instruction]:
        """Drops the earlier rosters that have been over for as long as a lease may last, and keeps
        what is another. `applied`: by node, the counter of the state that it goes by, as it says.
        """
        over = [o for o in self.earlier if is_over(o, self.nodes, applied, self._continued)]
        self._over_ms = {one: self._over_ms.get(one, now_ms) for one in over}
        gone = {one for one, since_ms in self._over_ms.items() if now_ms - since_ms >= FREE_MS}
        if self._kept and not gone:
            return []
        self.earlier, self._kept = tuple(o for o in self.earlier if o not in gone), True
        self._over |= {_digest(one) for one in gone}
        body = KeptRosters(
            nodes=[one.node for one in self.nodes],
            tls_keys=[one.tls_key for one in self.nodes],
            since=self.since,
            trust_generation=self.generation,
            earlier=written(_enough(self.earlier)),
            over=sorted(self._over),
        )
        data = body.SerializeToString(deterministic=True)
        return [SaveDocument(ROSTERS, data, "the rosters that leases are counted by")]


def is_bounded(earlier: Collection[Earlier] | Collection[EarlierRoster]) -> bool:
    """Whether these are no more than a node counts by, or takes from another one."""
    return len(earlier) <= EARLIER_MAX and sum(len(one.nodes) for one in earlier) <= MEMBERS_MAX


def _enough(earlier: Sequence[Earlier]) -> Sequence[Earlier]:
    """Those that are kept: all, or so many of the first that they are too many as well. The state
    tells the rest again; what no state tells stands first."""
    many = next((n for n in range(len(earlier)) if not is_bounded(earlier[:n])), len(earlier))
    return earlier[:many]


def written(earlier: Iterable[Earlier]) -> list[EarlierRoster]:
    """Earlier rosters as they are sent and kept."""
    return [
        EarlierRoster(
            nodes=[node for node, _ in one.nodes],
            until=one.until,
            tls_keys=[key for _, key in one.nodes],
        )
        for one in earlier
    ]


def read(messages: Iterable[EarlierRoster], roster: Sequence[Member]) -> tuple[Earlier, ...]:
    """Earlier rosters as they were sent or kept. An older release says no keys: those of `roster`
    are meant."""
    return tuple(
        Earlier(with_keys(_members(one.nodes, one.tls_keys), roster), one.until) for one in messages
    )


def _digest(earlier: Earlier) -> bytes:
    """Names it on the disk: all that a state ever told would be too long."""
    (message,) = written([earlier])
    return sha256(message.SerializeToString(deterministic=True))


class Heard:
    """Reads what other nodes say. Most say the same, which is read once and held once."""

    def __init__(self) -> None:
        self._messages: Sequence[EarlierRoster] = []
        self._roster: tuple[Member, ...] = ()
        self._earlier: tuple[Earlier, ...] = ()

    def read(
        self, messages: Sequence[EarlierRoster], roster: tuple[Member, ...]
    ) -> tuple[Earlier, ...]:
        """As the function `read`."""
        if roster != self._roster or messages != self._messages:
            self._messages, self._roster = messages, roster
            self._earlier = read(messages, roster)
        return self._earlier


def with_keys(nodes: tuple[Member, ...], roster: Sequence[Member]) -> tuple[Member, ...]:
    """The same nodes; those without keys have the keys that they have in `roster`, if any."""
    keys = dict(roster)
    return tuple(Member(one.node, one.tls_key or keys.get(one.node, b"")) for one in nodes)


def _members(nodes: Sequence[str], tls_keys: Sequence[bytes]) -> tuple[Member, ...]:
    keys = tls_keys if len(tls_keys) == len(nodes) else [b""] * len(nodes)
    return tuple(Member(*one) for one in zip(nodes, keys, strict=True))
