"""Rollouts as documents for people: from registers, so the same at a node and at a master."""

from collections.abc import Iterable, Mapping
from typing import Any

from mesh.core.stages import stage_of
from mesh.site.changes import LOCAL_RESTART
from mesh.site.local import service_config
from mesh.site.rollout import PAUSED, Stage
from node.agent.site_documents import phase_name
from protos.documents_pb2 import Phase, Plan, ServicePlan, StableRegister

Document = dict[str, Any]


def rollout_documents(
    plan: Plan, bodies: Iterable[StableRegister], whys: Mapping[tuple[str, str], str]
) -> list[Document]:
    """One document for each service and node that runs it, tries it or refused it.

    `whys`: what a node itself says of its turn, by service and node, where that is known.
    """
    known = sorted(bodies, key=lambda body: body.node)
    found = [
        _document(service, body, whys.get((service.name, body.node), ""))
        for service in plan.services
        for body in known
        if _concerned(service, body)
    ]
    return sorted(found, key=lambda one: (one["service"], one["site"], one["node"]))


def _concerned(service: ServicePlan, body: StableRegister) -> bool:
    runs = any(state.workload == service.name for state in body.replicas)
    return runs or stage_of(body, service) is Stage.REFUSED


def _document(service: ServicePlan, body: StableRegister, why: str) -> Document:
    stage = stage_of(body, service)
    states = [state for state in body.replicas if state.workload == service.name]
    runs = {s.model_version for s in states if s.phase == Phase.SERVING}
    held = {"paused": service.paused, "pinned": service.pinned}
    turn = why if stage is not Stage.PASSED else ""  # nothing holds it up any more
    waits = PAUSED if service.paused and stage is Stage.OLD else _restarted(service)
    return {
        "service": service.name,
        "site": body.site,
        "node": body.node,
        "runs": sorted(runs),
        "wants": service.model_version,
        "config": service_config(service),
        "stage": stage.value,
        "phases": [f"{s.model_version} {phase_name(s.phase)}" for s in states],
        "soaked": bool(states) and all(s.soaked for s in states if s.phase == Phase.SERVING),
        **{key: True for key, holds in held.items() if holds},
        "why": _evidence(service, body) or turn or _reasons(states) or waits,
    }


def _evidence(service: ServicePlan, body: StableRegister) -> str:
    """Why the node refused the present configuration, if it did."""
    config = service_config(service)
    verdicts = [v for v in body.verdicts if (v.workload, v.config) == (service.name, config)]
    return verdicts[0].reason or "refused; its journal says why" if verdicts else ""


def _restarted(service: ServicePlan) -> str:
    """What operators at the site did, which no resource says."""
    times = service.restarts // LOCAL_RESTART
    return f"local restarts: {times}" if times else ""


def _reasons(states: Iterable[Any]) -> str:
    return "; ".join(sorted({state.reason for state in states if state.reason}))
