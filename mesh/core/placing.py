"""Placement for one node, computed anew only when something changed that it rests on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mesh.core.in_force import HeldBack
from mesh.events import Instruction, WriteJournal
from mesh.registers.store import Record
from mesh.site.placement import Placement, place
from mesh.site.views import NodeView, view
from protos.documents_pb2 import Plan


class Placing:
    """The placement of the plan on the nodes of now. Registers change every second, because of what
    serves where; what placement rests on (who lives, labels, capacity, and what cordoned nodes have
    begun) changes rarely."""

    def __init__(self) -> None:
        self.placement = Placement({}, {}, {}, {})
        self.nodes: list[NodeView] = []
        self._views: dict[tuple[bytes, bool | None], tuple[NodeView, NodeView]] = {}
        self._plan: Plan | None = None
        self._least: Mapping[str, int] = {}
        self._rests_on: list[NodeView] = []

    def update(
        self,
        plan: Plan,
        least: Mapping[str, int],
        records: Sequence[Record],
        able: Collection[str],
        last_words: Collection[bytes] = (),
        held_back: HeldBack | None = None,
    ) -> None:
        """Places `plan` on those of the nodes that are `able` to work, and makes `nodes` their
        views. `least` is the minimum of each service, for which what others have above theirs must
        leave room. `last_words` are registers that their nodes made before they died: what those
        say of what serves is out of date. `held_back` are cordoned besides those whose registers
        say so.
        """
        views = {}
        for record in records:
            key = (record.digest, (held_back or {}).get(record.body.node))
            views[key] = self._views.get(key) or _views(record, key[1])
        self._views = views
        live = [(digest, pair) for (digest, _), pair in views.items() if pair[0].node in able]
        self.nodes = [fixed if digest in last_words else full for digest, (full, fixed) in live]
        rests_on = [fixed for _, (_, fixed) in live]
        is_same = plan is self._plan and least == self._least
        if is_same and rests_on == self._rests_on:
            return
        self._plan, self._least, self._rests_on = plan, least, rests_on
        self.placement = place(plan, rests_on, least)


def _views(record: Record, draining: bool | None) -> tuple[NodeView, NodeView]:
    """A node as it is, and what placement rests on of that. `draining` is whether a node that is
    cordoned at a master is draining as well; None: it is not cordoned there."""
    full = view(record.body)
    if draining is not None:
        full = replace(full, cordoned=True, draining=draining or full.draining)
    if full.cordoned:
        return full, replace(full, serving={})
    return full, replace(full, serving={}, runs={}, pipelines=frozenset())


def changes(
    plan: Plan, before: Placement, after: Placement, node: str, cause: str
) -> list[Instruction]:
    """Journal entries that say which workloads the node got or lost."""
    entries: list[Instruction] = []
    names = {service.name for service in plan.services} | set(before.replicas.get(node, {}))
    for name in sorted(names):
        old, new = before.count(node, name), after.count(node, name)
        if old != new:
            fields = {"before": str(old), "replicas": str(new)}
            entries.append(WriteJournal("record", "workload.placed", name, cause, fields))
    mine = {name for name, at in after.pipelines.items() if at == node}
    were = {name for name, at in before.pipelines.items() if at == node}
    for name in sorted(mine ^ were):
        fields = {"replicas": "1" if name in mine else "0"}
        entries.append(WriteJournal("record", "workload.placed", name, cause, fields))
    return entries
