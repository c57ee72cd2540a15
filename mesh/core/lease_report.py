"""What a node can say of the lease of an exclusive pipeline, for people: nothing is decided."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.core.grants import JUST_STARTED
from mesh.core.lease_candidates import chosen
from mesh.site.leases import FREE_MS, LEASE_MS
from protos.documents_pb2 import LeaseState, PipelinePlan

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """Who holds a lease, and by whose word, as one node knows it."""

    holder: str
    """"" if nobody that lives says that it holds it; then `why_nobody` says why, as far as is known
    here."""
    acknowledged: tuple[str, ...]
    acknowledgements: int
    """How many acknowledge it; a full register says that, and not who."""
    roster: int
    """Nodes of the roster of which it needs a quorum."""
    roster_state: int
    """The counter of the state that brought that roster."""
    earlier: tuple[tuple[int, int], ...]
    """The nodes of each earlier roster of which it needs a quorum too, and the counter of the state
    that replaced it."""
    left_ms: int | None
    """Until it ends unless it is renewed; None where this node neither holds nor granted it."""
    why_nobody: str
    here: str
    """Why this node takes no part in leases now; "" if it does."""


def lease_report(core: "NodeCore", plan: PipelinePlan, now_ms: int) -> LeaseReport:
    """What this node knows of the lease of a pipeline that needs one."""
    leases = core.leases
    holder, lease = _holder(core, plan.name)
    started = JUST_STARTED if now_ms < leases.grants.from_ms else ""
    return LeaseReport(
        holder,
        tuple(lease.acknowledged),
        max(lease.acknowledgements, len(lease.acknowledged)),
        len(leases.rosters.nodes),
        leases.rosters.since,
        tuple((len(one.nodes), one.until) for one in leases.rosters.earlier),
        _left_ms(core, plan.name, holder, now_ms),
        "" if holder else _why_nobody(core, plan, now_ms),
        leases.barred(core) or started,
    )


def _holder(core: "NodeCore", workload: str) -> tuple[str, LeaseState]:
    """As its register says it, if it lives."""
    for record in core.membership.registers.records():
        node = record.body.node
        if node == core.name or core.membership.liveness.is_alive(node):
            for lease in record.body.leases:
                if lease.workload == workload:
                    return node, lease
    return "", LeaseState()


def _left_ms(core: "NodeCore", workload: str, holder: str, now_ms: int) -> int | None:
    mine = core.leases.held.get(workload)
    if mine is not None:
        return max(0, mine.until_ms - now_ms)
    given = core.leases.grants.holder(workload, now_ms)
    if given is None or given.at_ms is None or given.owner.node != holder:
        return None
    return max(0, given.at_ms + LEASE_MS - now_ms)


def _why_nobody(core: "NodeCore", plan: PipelinePlan, now_ms: int) -> str:
    """What stands in the way: what waits here, an earlier grant, or whoever is to ask."""
    name, leases = plan.name, core.leases
    pending = {**core.placement.pending, **leases.pending}.get(name, "")
    if pending:
        return pending
    given = leases.grants.holder(name, now_ms)
    if given is not None and given.at_ms is not None and given.owner.node != core.name:
        left = (given.at_ms + FREE_MS - now_ms) / 1000
        who = given.owner.node
        return f"{core.name} granted it to {who}, and grants it to nobody else for {left:.1f} s"
    node = chosen(core, plan)
    if node is None:
        return "no node that this one is linked with can run it"
    if node != core.name:
        return f"{node} is to ask for it: see what it says"
    lease, nodes = leases.lease(name), len(leases.rosters.nodes)
    many = len(lease.acknowledged) if lease is not None else 0
    return f"{node} asks for it: {many} of the {nodes} nodes of the roster acknowledge so far"
