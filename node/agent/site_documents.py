"""Registers and plans as documents for people: the same at a node and at a master."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mesh.heads.revocations import Revoked
from mesh.registers.store import Record
from mesh.site.scaling import may_sleep
from protos.documents_pb2 import (
    Delegation,
    LoadRegister,
    Phase,
    PipelinePlan,
    Plan,
    ReplicaState,
    ServiceLoad,
    ServicePlan,
    SiteBranch,
    StableRegister,
)

Document = dict[str, Any]
ASLEEP = "nobody asks for it: a request at any node of the site wakes it"
NAME_KEYS = {
    "nodes": "node",
    "sites": "site",
    "workloads": "workload",
    "rollouts": "service",
    "explanations": "workload",
    "loads": "service",
    "changes": "workload",
    "alarms": "kind",
    "tokens": "id",
    "delegations": "id",
}
"""The key that `name` picks by, for the kinds where that is not "name"."""


def node_document(
    record: Record, live: str, gateway: bool, revoked: Revoked, heard_ms: int = 0
) -> Document:
    """One node, as its register and others' views say."""
    body = record.body
    document: Document = {
        "node": body.node,
        "site": body.site,
        "live": live,
        "boot": body.boot.counter,
        "address": body.peer_address,
        "inference_address": body.inference_address,
        "gateway": gateway,
        "wan": body.wan,
        "replicas": sum(1 for r in body.replicas if r.phase == Phase.SERVING),
        "seen": body.seen_counter,
        "applied": body.applied_counter,
        "in_force": in_force(body),
        "labels": dict(body.labels),
    }
    reason = revoked.is_revoked(record.keys.tls_key)
    if reason is not None:
        document["revoked"] = reason
    if heard_ms:
        document["heard"] = heard_ms
    return document


def in_force(body: StableRegister) -> int:
    """The counter of the state that a node goes by: below that of the one it applied where it
    refused what that says of its site, 0 where it goes by none. A node of an older release says
    only what it applied."""
    said = body.HasField("in_force_counter")
    return body.in_force_counter if said else body.applied_counter


def behind(documents: Iterable[Document], counter: int) -> list[str]:
    """Of nodes' documents, those that live and do not go by the state `counter` yet."""
    late = (d for d in documents if d["live"] == "live" and d.get("in_force", 0) < counter)
    return sorted(document["node"] for document in late)


def delegation_documents(
    site: str, delegations: Iterable[Delegation], used: Mapping[str, list[int]]
) -> list[Document]:
    """Who may admit boxes at a site. `used`: the numbers of each that are used, as far as is
    known."""
    return [
        {
            "id": one.id,
            "site": site,
            "count": one.count,
            "used": used.get(one.id, []),
            "until": one.until_unix_ms,
            "operator": one.operator,
            "ended": one.ended,
        }
        for one in delegations
    ]


def load_documents(
    bodies: Iterable[StableRegister], load_of: Callable[[str], LoadRegister | None]
) -> list[Document]:
    """How busy each service is on each node that serves it; who says nothing is idle."""
    found = []
    for body in bodies:
        load = load_of(body.node)
        said = {one.workload: one for one in load.services} if load is not None else {}
        serving = [r.workload for r in body.replicas if r.phase == Phase.SERVING]
        for service in sorted(set(serving)):
            one = said.get(service, ServiceLoad())
            found.append(
                {
                    "service": service,
                    "site": body.site,
                    "node": body.node,
                    "serving": serving.count(service),
                    "requests_per_second": one.requests_per_second,
                    "queue_delay_ms": one.queue_delay_ms,
                    "in_flight": one.in_flight,
                }
            )
    return sorted(found, key=lambda one: (one["service"], one["site"], one["node"]))


def workload_documents(body: StableRegister) -> list[Document]:
    """The replicas and pipelines that a node says it has."""
    replicas = [
        {
            "site": body.site,
            "node": body.node,
            "workload": state.workload,
            "kind": "service",
            "index": state.index,
            "phase": _replica_phase(state),
            "model": state.model,
            "version": state.model_version,
            "reason": state.reason,
            "config": state.config,
        }
        for state in body.replicas
    ]
    pipelines = [
        {
            "site": body.site,
            "node": body.node,
            "workload": state.workload,
            "kind": "pipeline",
            "index": 0,
            "phase": pipeline_phase(state.phase),
            "reason": state.reason,
            "config": state.config,
        }
        for state in body.pipelines
    ]
    return replicas + pipelines


def phase_name(phase: Phase) -> str:
    """The phase in lower case; `unknown-N` for one that a newer release may have."""
    return Phase.Name(phase).lower() if phase in Phase.values() else f"unknown-{phase}"


def _replica_phase(state: ReplicaState) -> str:
    """A replica that does not run because it crashed here too often is quarantined."""
    waits = state.quarantined and state.phase == Phase.FETCHING
    return "quarantined" if waits else phase_name(state.phase)


def pipeline_phase(phase: Phase) -> str:
    """A pipeline that serves is said to be running."""
    return "running" if phase == Phase.SERVING else phase_name(phase)


def pending_documents(site: str, pending: Mapping[str, str]) -> list[Document]:
    """What fits nowhere."""
    return [
        {"site": site, "node": "", "workload": name, "phase": "pending", "reason": reason}
        for name, reason in sorted(pending.items())
    ]


def asleep_documents(site: str, asleep: Iterable[str]) -> list[Document]:
    """What has no replica because nobody asks for it."""
    return [
        {"site": site, "node": "", "workload": name, "phase": "asleep", "reason": ASLEEP}
        for name in asleep
    ]


def serving_count(bodies: Iterable[StableRegister], workload: str) -> int:
    """How many replicas of a service serve."""
    return sum(
        1
        for body in bodies
        for state in body.replicas
        if state.workload == workload and state.phase == Phase.SERVING
    )


def running_count(bodies: Iterable[StableRegister], workload: str) -> int:
    """How many nodes run a pipeline: one in each site, or it is missing there."""
    states = (state for body in bodies for state in body.pipelines)
    return sum(1 for one in states if one.workload == workload and one.phase == Phase.SERVING)


def is_nowhere(bodies: Iterable[StableRegister], workload: str) -> bool:
    """Whether no node says that it has a replica of a service, in any phase."""
    return not any(state.workload == workload for body in bodies for state in body.replicas)


def counts(sites: Collection[str], planned: int, local: Mapping[str, int]) -> Document:
    """How many replicas of a service there should be in all its sites. `planned` is how many the
    plan asks of each; `local` are those of sites that were scaled locally, and said."""
    document: Document = {"desired": sum(local.get(site, planned) for site in sites)}
    if local:
        document |= {"planned": planned * len(sites), "local": dict(local)}
    return document


def plan_documents(
    branch: SiteBranch, planned: Plan, counter: int, bodies: list[StableRegister]
) -> list[Document]:
    """The resources behind a site's plan, as local changes have made it of what was `planned`."""
    plan = branch.plan
    before = {service.name: service for service in planned.services}
    documents = [
        {
            "kind": "Model",
            "name": model.name,
            "version": model.version,
            "generation": counter,
            "sites": [plan.site],
            "spec": {"staged": model.staged},
        }
        for model in plan.models
    ]
    documents += [_service(plan, one, before[one.name], counter, bodies) for one in plan.services]
    documents += [
        {
            "kind": "Pipeline",
            "name": p.name,
            "generation": counter,
            "sites": [plan.site],
            "desired": 1,
            "serving": running_count(bodies, p.name),
            "spec": _pipeline_spec(p),
        }
        for p in plan.pipelines
    ]
    site = {
        "kind": "Site",
        "name": branch.site,
        "generation": counter,
        "sites": [branch.site],
        "spec": {"labels": dict(branch.labels)},
    }
    return [*documents, site]


def _pipeline_spec(pipeline: PipelinePlan) -> Document:
    spec: Document = {
        "source": pipeline.source,
        "service": pipeline.service,
        "everyMs": pipeline.every_ms,
    }
    if pipeline.exclusive:
        on_split = "run" if pipeline.run_on_split else "stop"
        spec |= {"exclusive": True, "onSplit": on_split}
    return spec


def _service(
    plan: Plan,
    service: ServicePlan,
    planned: ServicePlan,
    counter: int,
    bodies: list[StableRegister],
) -> Document:
    is_scaled = _bounds(service) != _bounds(planned)
    local = {plan.site: service.replicas_min} if is_scaled else {}
    model = f"{service.model}@{service.model_version}"
    held: Document = {"paused": [plan.site]} if service.paused else {}
    if service.pinned:
        held["pinned"] = {plan.site: model}
    if may_sleep(service) and is_nowhere(bodies, service.name):
        held["asleep"] = [plan.site]
    return {
        "kind": "Service",
        "name": service.name,
        "version": model,
        "generation": counter,
        "sites": [plan.site],
        **counts([plan.site], planned.replicas_min, local),
        "serving": serving_count(bodies, service.name),
        **held,
        "spec": {
            "model": model,
            "replicas": {"min": service.replicas_min, "max": service.replicas_max},
            "spares": service.spares,
        },
    }


def _bounds(service: ServicePlan) -> tuple[int, int]:
    return service.replicas_min, service.replicas_max
