"""A node that goes by an older state than its neighbours do, or by none, and cannot go by the
newest that it knows of: that one is refused, or for a later release. It was away, or not enrolled
yet, when the state came that the others go by; and what is passed on is the newest alone.

It asks a neighbour whose register says that it goes by a later one, another each time, and takes it
as a box does that begins with it: nothing of it is believed that is not signed and proved.
"""

from typing import TYPE_CHECKING

from mesh.core.in_force import Order
from mesh.core.messages import NodeOutput
from mesh.events import Send
from mesh.exchange.frames import encode
from mesh.hashing import ranked
from mesh.heads.snapshot import SnapshotRefused, branches_of, open_snapshot
from protos.documents_pb2 import SiteSnapshot, StableRegister
from protos.peer_pb2 import Frame, InForceAsk, InForcePart

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


class CatchingUp:
    """Of one node: whom it asked, and what came of that state so far."""

    def __init__(self) -> None:
        self._number = 0
        self._asked = ""
        self._parts: dict[str, InForcePart] = {}

    def ask(self, core: "NodeCore") -> list[NodeOutput]:
        """Asks a neighbour, where one goes by a later state that is not the newest."""
        low, high = core.in_force.order, core.peer.heads.state.floor
        self._asked, self._parts = "", {}
        if low >= high:
            return []
        later = [
            peer
            for peer in core.peer.neighbours()
            if (record := core.membership.registers.get(peer)) is not None
            and low < _order(record.body) < high
        ]
        if not later:
            return []
        self._number += 1
        self._asked = ranked(f"in force {core.name} {self._number}", later)[0]
        ask = InForceAsk(trust_generation=low[0], counter=low[1])
        return [Send(self._asked, encode(in_force_ask=ask), "the state that it goes by")]

    def frame(self, core: "NodeCore", frame: Frame, peer: str, now_ms: int) -> list[NodeOutput]:
        """A neighbour asks, or answers."""
        if frame.HasField("in_force_ask"):
            return _answer(core, frame.in_force_ask, peer)
        if peer != self._asked or frame.in_force_part.branch.name not in _names(core):
            return []
        self._parts[frame.in_force_part.branch.name] = frame.in_force_part
        if len(self._parts) < len(_names(core)):
            return []
        parts, self._asked, self._parts = self._parts, "", {}
        return _take(core, parts, peer, now_ms)


def _names(core: "NodeCore") -> tuple[str, ...]:
    return branches_of(core.peer.config.site)


def _order(register: StableRegister) -> Order:
    return register.in_force_generation, register.in_force_counter


def _answer(core: "NodeCore", ask: InForceAsk, peer: str) -> list[NodeOutput]:
    if core.in_force.order <= (ask.trust_generation, ask.counter):
        return []
    known = core.in_force.snapshot()
    parts = [
        InForcePart(state=known.state, branch=branch, blob=blob)
        for branch, blob in zip(known.branches, known.blobs, strict=True)
    ]
    return [Send(peer, encode(in_force_part=part), "asked for") for part in parts]


def _take(
    core: "NodeCore", parts: dict[str, InForcePart], peer: str, now_ms: int
) -> list[NodeOutput]:
    """Goes by what the parts are of, if that is later than what this node goes by. Its head is
    taken first as any other is: one later than the newest is fetched, two contents of one order
    are evidence."""
    trust = core.peer.heads.trust
    told = SiteSnapshot(
        root_key=trust.root_key,
        trust=trust.envelope,
        state=parts[_names(core)[0]].state,
        branches=[part.branch for part in parts.values()],
        blobs=[part.blob for part in parts.values()],
    )
    try:
        head = open_snapshot(told, core.peer.config.site).head
    except SnapshotRefused as refused:
        return [*core.refusals.refused(peer, f"the state that it goes by: {refused}", now_ms)]
    heads = core.peer.heads
    taken: list[NodeOutput] = [*heads.take_state(told.state, peer)]
    applied = heads.state.applied
    is_another = (
        applied is not None and applied.order == head.order and applied.digest != head.digest
    )
    # Of the newest itself one content was seen: that one comes as every newest does.
    if is_another or not core.in_force.order < head.order < heads.state.floor:
        return taken
    contents = {name: part.blob for name, part in parts.items()}
    proof = told.state, {name: part.branch for name, part in parts.items()}
    core.in_force.take_over(contents, head.order, proof)
    return [*taken, *core.authority.caught_up(core, peer, now_ms)]
