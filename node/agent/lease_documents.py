"""Who holds the lease of an exclusive pipeline, by which rosters and until when, as a document."""

from collections.abc import Iterable
from typing import Any

from mesh.core.lease_report import lease_report
from mesh.core.node import NodeCore
from mesh.site.leases import needs_lease
from protos.documents_pb2 import PipelinePlan, StableRegister

Document = dict[str, Any]


def lease_document(core: NodeCore, pipeline: PipelinePlan, now_ms: int) -> Document:
    """As this node knows it; empty for a pipeline that needs no lease. `seconds_left` is -1 where
    this node cannot tell: it neither holds nor granted it."""
    if not needs_lease(pipeline):
        return {}
    said = lease_report(core, pipeline, now_ms)
    return {
        "holder": said.holder,
        "acknowledged": list(said.acknowledged),
        "acknowledgements": said.acknowledgements,
        "roster": said.roster,
        "roster_state": said.roster_state,
        "earlier_rosters": [{"nodes": many, "until": state} for many, state in said.earlier],
        "seconds_left": -1.0 if said.left_ms is None else round(said.left_ms / 1000, 1),
        "why_nobody": said.why_nobody,
        "here": said.here,
    }


def lease_of(core: NodeCore, pipeline: str, now_ms: int) -> Document:
    """What a pipeline's own document says besides: its lease, if it needs one."""
    plans = core.branch.plan.pipelines
    lease = next((lease_document(core, p, now_ms) for p in plans if p.name == pipeline), {})
    return {"lease": lease} if lease else {}


def lease_holders(bodies: Iterable[StableRegister], workload: str) -> dict[str, str]:
    """By site, the node that says that it holds the lease."""
    return {
        body.site: body.node
        for body in bodies
        for lease in body.leases
        if lease.workload == workload
    }
