"""`meshctl explain`: what was decided about a workload, and from which facts, as a document."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from mesh.core.node import NodeCore
from mesh.registers.watched import Verdict
from mesh.site.explain import Standing, explain_pipeline, explain_service
from mesh.site.scaling import keeper
from node.agent.edge import now_ms
from node.agent.lease_documents import lease_document
from node.agent.local_changes import change_documents
from node.agent.site_documents import ASLEEP
from protos.documents_pb2 import PipelinePlan, Plan, RosterEntry, ServicePlan

Document = dict[str, Any]


def explanations(core: NodeCore) -> list[Document]:
    """One document for each service and pipeline of the site's plan, as this node sees it."""
    plan = core.in_force.planned
    services = [_service(core, service) for service in plan.services]
    return services + [_pipeline(core, pipeline) for pipeline in plan.pipelines]


def _service(core: NodeCore, service: ServicePlan) -> Document:
    share = core.share
    live = set(core.membership.liveness.live())
    wanted = _of(share.counted, service)
    turn = share.rollouts.turns.get(service.name)
    standings = explain_service(service, share.counted, share.views, share.placement)
    return {
        **_head(core, service.name, "service"),
        "wanted": {
            "replicas": wanted.replicas_min,
            "min": service.replicas_min,
            "max": service.replicas_max,
            "kept_by": keeper(service.name, live) or "",
        },
        "version": {
            "planned": service.model_version,
            "wanted": _of(core.branch.plan, service).model_version,
            "here": _of(share.plan, service).model_version,
            "why": turn.why if turn is not None else "",
            "refused": share.refused_by_site().get(service.name, ""),
        },
        "pending": share.placement.pending.get(service.name, ""),
        "asleep": ASLEEP if service.name in share.asleep else "",
        "nodes": _nodes(core, standings),
    }


def _pipeline(core: NodeCore, pipeline: PipelinePlan) -> Document:
    share = core.share
    standings = explain_pipeline(pipeline, share.views, share.placement)
    return {
        **_head(core, pipeline.name, "pipeline"),
        "wanted": {"replicas": 1, "source": pipeline.source, "service": pipeline.service},
        "pending": {**share.placement.pending, **core.leases.pending}.get(pipeline.name, ""),
        "lease": lease_document(core, pipeline, now_ms()),
        "nodes": _nodes(core, standings),
    }


def _head(core: NodeCore, name: str, kind: str) -> Document:
    applied = core.peer.heads.state.applied
    return {
        "workload": name,
        "kind": kind,
        "site": core.peer.config.site,
        "seen_by": core.name,
        "state": applied.counter if applied else 0,
        "changes": change_documents(c for c in core.changes.held if c.body.workload == name),
    }


def _nodes(core: NodeCore, standings: Iterable[Standing]) -> list[Document]:
    """Those that count, and those of the roster that do not, with why."""
    found = [asdict(standing) for standing in standings]
    listed = {document["node"] for document in found}
    records = {r.body.node for r in core.membership.registers.records()}
    for entry in core.branch.roster:
        if entry.node not in listed:
            why = _absent(core, entry, records)
            found.append(asdict(Standing(entry.node, 0, 0, 0, False, why)))
    return found


def _absent(core: NodeCore, entry: RosterEntry, known: Collection[str]) -> str:
    node, revoked = entry.node, core.revoked.is_revoked(entry.tls_key)
    if revoked is not None:
        return f"it is revoked: {revoked}"
    if node in core.conflicts.clones:
        return "two machines say that they are this node: it takes no work"
    if node not in known:
        return "nothing was heard from it yet"
    if core.membership.liveness.verdict(node) is Verdict.DEAD:
        return "it is dead: nobody of the site reaches it"
    return "it takes no work now"


def _of(plan: Plan, service: ServicePlan) -> ServicePlan:
    """The service as `plan` has it; the plan of a moment ago may not."""
    return next((one for one in plan.services if one.name == service.name), service)
