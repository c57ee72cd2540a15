"""Who holds the lease of an exclusive pipeline, acknowledged by whom and until when, as a node
knows it."""

from typing import Any

from mesh.core.grants import JUST_STARTED
from mesh.core.leases import Leases
from mesh.core.node import NodeCore
from mesh.site.leases import LEASE_MS, needs_lease
from protos.documents_pb2 import LeaseState, PipelinePlan

Document = dict[str, Any]


def lease_document(core: NodeCore, pipeline: PipelinePlan, now_ms: int) -> Document:
    """Empty for a pipeline that needs no lease. `seconds_left` is -1 where this node cannot tell:
    it neither holds nor granted it. A full register says how many acknowledge, and not who."""
    if not needs_lease(pipeline):
        return {}
    holder, lease = _holder(core, pipeline.name)
    return {
        "holder": holder,
        "acknowledged": list(lease.acknowledged),
        "acknowledgements": max(lease.acknowledgements, len(lease.acknowledged)),
        "roster": len(core.branch.roster),
        "seconds_left": _seconds_left(core.leases, pipeline.name, holder, now_ms),
        "here": core.leases.barred(core) or _here(core.leases, now_ms),
    }


def _holder(core: NodeCore, workload: str) -> tuple[str, LeaseState]:
    """As its register says it, if it lives."""
    for record in core.membership.registers.records():
        node = record.body.node
        if node == core.name or core.membership.liveness.is_alive(node):
            for lease in record.body.leases:
                if lease.workload == workload:
                    return node, lease
    return "", LeaseState()


def _seconds_left(leases: Leases, workload: str, holder: str, now_ms: int) -> float:
    mine = leases.held.get(workload)
    if mine is not None:
        return _seconds(mine.until_ms - now_ms)
    given = leases.grants.holder(workload, now_ms)
    if given is None or given.at_ms is None or given.owner.node != holder:
        return -1.0
    return _seconds(given.at_ms + LEASE_MS - now_ms)


def _seconds(left_ms: int) -> float:
    return round(max(0, left_ms) / 1000, 1)


def _here(leases: Leases, now_ms: int) -> str:
    """Whether this node takes part yet."""
    return JUST_STARTED if now_ms < leases.grants.from_ms else ""
