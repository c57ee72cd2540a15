"""A node's collection of artifacts: what is known of their use, since when there is none, and when
they go. The rule is in mesh/site/collection.py."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.core.artifacts import Artifacts, Output
from mesh.registers.store import Record
from mesh.site import collection
from mesh.site.collection import Judgement, Known, judge

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

HELPS = "for neighbours without a WAN path"
"""Why the gateway holds what it does not use itself."""


@dataclass(frozen=True, slots=True)
class _Named:
    """The artifacts that a register names: held there, and of the last good versions there."""

    held: frozenset[bytes]
    good: frozenset[bytes]


class Collecting:
    """What this node keeps and why, and what it lets go."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._judged = Judgement()
        self._known = Known("", {}, frozenset(), frozenset(), frozenset(), {})
        self._idle_since: dict[bytes, int] = {}
        self._unseen_since: dict[str, int] = {}
        """Of the nodes of the roster of whom nothing is known."""
        self._short = False
        self._helped: frozenset[bytes] = frozenset()
        self._named: dict[bytes, _Named] = {}  # by the register's digest, each worked out once

    @property
    def fetches(self) -> frozenset[bytes]:
        """What this node is to hold for its site or for neighbours, whether it uses it or not."""
        return self._judged.fetch | self._helped

    @property
    def claims(self) -> list[bytes]:
        """Of the artifacts that are whole here, those that the register names: all that this node
        keeps, and what others may count on it for."""
        said = self._judged.keep.keys() | self._known.planned | self._known.good
        return sorted(self._artifacts.complete & said)

    def room(self, short: bool) -> None:
        """The disk is short of room, or not any more."""
        self._short = short

    def removed(self) -> None:
        """Something is gone: whether the disk is still short is to be told anew."""
        self._short = False

    def look(self, core: "NodeCore", planned: Collection[bytes], now_ms: int) -> list[Output]:
        """Judges anew what is here; gives what is to be done about what goes. To be done after the
        register that does not name it any more was sent."""
        records = core.membership.registers.records()
        self._named = {r.digest: self._named.get(r.digest) or _named_by(r) for r in records}
        self._known = self._known_of(core, records, planned, now_ms)
        self._helped = frozenset(one for one, use in self._known.uses.items() if use == HELPS)
        self._judged = judge(self._known, self._artifacts.here)
        if not self._known.unknown:
            since = self._idle_since
            self._idle_since = {one: since.get(one, now_ms) for one in self._judged.idle}
        # What any node holds as well: an operator may go back to it at any node of the site.
        held = frozenset[bytes]().union(*(named.held for named in self._named.values()))
        named = self._known.planned | self._known.good | held
        outputs: list[Output] = []
        for artifact, cause in self._due(now_ms):
            with_manifest = artifact not in named
            outputs += self._artifacts.collect(artifact, with_manifest, cause, now_ms)
        if not self._known.unknown:
            self._artifacts.forget_manifests(but=named)
        return outputs

    def why(self, artifact: bytes, now_ms: int) -> str:
        """Why an artifact is here, for people."""
        if artifact in self._judged.keep:
            return self._judged.keep[artifact]
        hindrance = self._judged.idle.get(artifact)
        if hindrance is None:
            return ""
        since_ms = self._idle_since.get(artifact, now_ms)
        if self._artifacts.resists(artifact, now_ms):
            return "waits to be collected: the disk refused to remove it"
        left_min = max(0, collection.GRACE_MS - (now_ms - since_ms)) // 60_000
        return f"waits to be collected: {hindrance or f'in {left_min} min'}"

    def _due(self, now_ms: int) -> list[tuple[bytes, str]]:
        """What goes now, what was unneeded for the longest time first, and why."""
        idle = self._judged.idle.items()
        free = sorted(
            (self._idle_since[digest], digest)
            for digest, why in idle
            if not (why or self._artifacts.resists(digest, now_ms))
        )
        late = [d for since_ms, d in free if now_ms - since_ms >= collection.GRACE_MS]
        if late:
            minutes = collection.GRACE_MS // 60_000
            return [(d, f"nothing has needed it for {minutes} min") for d in late]
        pressed = self._short or self._artifacts.is_cramped
        if not pressed or self._artifacts.is_removing:
            return []
        ripe = [d for since_ms, d in free if now_ms - since_ms >= collection.PRESSED_MS]
        return [(d, "the disk is short of room, and nothing needs it") for d in ripe[:1]]

    def _known_of(
        self, core: "NodeCore", records: Sequence[Record], planned: Collection[bytes], now_ms: int
    ) -> Known:
        """What is known now that keeping rests on; `planned` are the artifacts of the plan."""
        live = set(core.membership.liveness.live())
        state = core.in_force.counter
        return Known(
            node=core.name,
            uses=dict.fromkeys(core.helping.artifacts & set(planned), HELPS) | core.share.uses(),
            planned=frozenset(planned),
            good=frozenset[bytes]().union(*(named.good for named in self._named.values())),
            roster=frozenset(entry.node for entry in core.branch.roster),
            holders={
                r.body.node: self._named[r.digest].held
                for r in records
                if r.body.node in live and r.body.in_force_counter == state
            },
            unknown=_unknown(core) or self._awaits(core, records, now_ms),
        )

    def _awaits(self, core: "NodeCore", records: Sequence[Record], now_ms: int) -> str:
        """Which node of the roster may yet come and say what it needs; "" if none."""
        roster = {entry.node for entry in core.branch.roster}
        unseen, since = roster - {r.body.node for r in records}, self._unseen_since
        self._unseen_since = {node: since.get(node, now_ms) for node in sorted(unseen)}
        for node, since_ms in self._unseen_since.items():
            if now_ms - since_ms < collection.UNSEEN_MS:
                return f"nothing is known of {node}"
        return ""


def _named_by(record: Record) -> _Named:
    body = record.body
    known = (*body.last_good, *body.inherited_good)
    return _Named(frozenset(body.artifacts), frozenset(good.artifact for good in known))


def _unknown(core: "NodeCore") -> str:
    """What is not known that something might be needed for; "" where all is."""
    if not core.branch.site:
        return "no plan is in force"
    if core.name in core.conflicts.clones:
        return "somebody else poses as this node"
    if core.runtime.gone or not core.share.ran.covers(core.runtime.keys()):
        return "what the runtime runs is not known"
    if core.name not in {entry.node for entry in core.branch.roster}:
        return "this node is not in the roster"
    return ""
