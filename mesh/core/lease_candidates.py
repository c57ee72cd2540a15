"""Which nodes are asked to run an exclusive pipeline: those of the roster that can get its lease.

A node that cannot get one says so in its register, and the others leave it out: else the first in
the ranking would keep all others from a pipeline that it cannot run itself.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.core import lease_members
from mesh.hashing import ranked
from mesh.site.leases import LEASE_MS, Member, is_quorum, needs_lease
from mesh.site.placement import reader
from mesh.site.views import may_read
from protos.documents_pb2 import PipelinePlan, SiteBranch

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

RETRY_MS = 60_000
"""After which a node that got no quorum tries again, where nobody else runs the pipeline and its
links are the same."""


def chosen(core: "NodeCore", plan: PipelinePlan) -> str | None:
    """The node that should run the pipeline, of those linked with this one, since no other could
    hear that it is given back. (A split site may hear of its other part through a master, as if
    that lived.) Where none of them can get the lease, the one that could run it: it says why."""
    near = {core.name, *core.peer.neighbours()}
    views = [view for view in core.share.views if view.node in near]
    cannot = _cannot(core, plan.name)
    able = [view for view in views if view.node not in cannot]
    return reader(plan, able) or reader(plan, views)


def rank(core: "NodeCore", plan: PipelinePlan) -> int:
    """How many of the nodes that live and could run the pipeline come before this one."""
    cannot = _cannot(core, plan.name)
    able = {v.node for v in core.share.views if may_read(plan, v) and v.node not in cannot}
    return ranked(f"pipeline {plan.name}", able | {core.name}).index(core.name)


def _cannot(core: "NodeCore", workload: str) -> set[str]:
    """The nodes that cannot get the lease, as they say, or since they are not in the roster."""
    records = core.membership.registers.records()
    bodies = [record.body for record in records]
    said = {body.node for body in bodies if workload in body.cannot_lease} - {core.name}
    mine = {core.name} if workload in core.leases.unable.names else set()
    roster = set(core.leases.rosters.nodes)
    strangers = {r.body.node for r in records if Member(r.body.node, r.keys.tls_key) not in roster}
    return said | mine | strangers


@dataclass(frozen=True, slots=True)
class _GaveUp:
    at_ms: int
    linked: frozenset[str]


class Unable:
    """`names`: the pipelines that have their source here and whose lease this node cannot get."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.tries_ms: dict[str, int] = {}
        """Since when it tries once more, by pipeline."""
        self.why: dict[str, str] = {}
        """Why this node got none of those that nobody has since, as far as it knows: while others
        try in their turn that is so as before."""
        self._gave_up: dict[str, _GaveUp] = {}
        self._no_runtime_ms: int | None = None
        self._branch: SiteBranch | None = None
        self._sources: Collection[str] = ()
        self._here: frozenset[str] = frozenset()

    def give_up(self, core: "NodeCore", workload: str, why: str, now_ms: int) -> None:
        """No quorum granted it for so long that another node is to try."""
        self.why[workload] = why
        self._gave_up.setdefault(workload, _GaveUp(now_ms, frozenset(core.peer.neighbours())))

    def look(self, core: "NodeCore", now_ms: int) -> None:
        """Finds out anew what this node cannot get."""
        here = self._leased_here(core)
        lacks_runtime = self._lacks_runtime(core, now_ms)
        if here or self._gave_up or self.why or self.tries_ms:
            self._forget(core, here, now_ms)
        gets_none = bool(here) and (lacks_runtime or bool(core.leases.barred(core)))
        names = here if gets_none else frozenset(self._gave_up)
        if names != self.names:
            self.names = names
            core.stale = core.stale or "which leases this node can get"

    def _leased_here(self, core: "NodeCore") -> frozenset[str]:
        """The pipelines that need a lease and have their source here, worked out once a plan."""
        branch, sources = core.branch, core.facts.sources
        if branch is not self._branch or sources is not self._sources:
            self._branch, self._sources = branch, sources
            plans = [one for one in branch.plan.pipelines if needs_lease(one)]
            self._here = frozenset(plan.name for plan in plans if plan.source in sources)
        return self._here

    def _forget(self, core: "NodeCore", here: frozenset[str], now_ms: int) -> None:
        """Forgets what is over: of pipelines that are not here any more, or whose time has come."""
        for name in list(self._gave_up):
            if name not in here or self._may_retry(core, name, now_ms):
                del self._gave_up[name]
                self.tries_ms[name] = now_ms
        self.tries_ms = {name: at for name, at in self.tries_ms.items() if name in here}
        self.why = {
            name: why
            for name, why in self.why.items()
            if name in here and name not in core.leases.held and not has_holder(core, name)
        }

    def _lacks_runtime(self, core: "NodeCore", now_ms: int) -> bool:
        """Whether there has been no runtime for long that would run it. One of an older release
        does not: it would not end it in time."""
        if not core.runtime.gone and core.runtime.state.keeps_deadlines:
            self._no_runtime_ms = None
            return False
        if self._no_runtime_ms is None:
            self._no_runtime_ms = now_ms
        return now_ms - self._no_runtime_ms >= LEASE_MS

    def _may_retry(self, core: "NodeCore", workload: str, now_ms: int) -> bool:
        """Not while another runs it and nothing is better here: it would stop it for a trial."""
        gave_up, linked = self._gave_up[workload], set(core.peer.neighbours())
        able, rosters = lease_members.able(core), core.leases.rosters.counting()
        if not all(is_quorum(workload, able, roster) for roster in rosters):
            return False
        is_late = now_ms - gave_up.at_ms >= RETRY_MS
        return bool(linked - gave_up.linked) or (is_late and not has_holder(core, workload))


def has_holder(core: "NodeCore", workload: str) -> bool:
    """Whether another node that lives says that it holds the lease."""
    return any(
        lease.workload == workload
        for record in core.membership.registers.records()
        if record.body.node != core.name and core.membership.liveness.is_alive(record.body.node)
        for lease in record.body.leases
    )
