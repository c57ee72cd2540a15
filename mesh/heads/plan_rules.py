"""What a plan may say: bounds of every field, checked before anybody acts on it.

A plan that breaks one of them is refused whole, and the last good one stays in force, so that one
bad number from the authority (a million replicas, a soak of a century) stops no site. What a plan
means is not checked here: a service whose model is unknown is an alarm at the site, no bad blob.
"""

import math

from mesh.heads import checks
from mesh.heads.limits import (
    AUTONOMY_MS_MAX,
    CORES_MAX,
    DURATION_MS_MAX,
    MEMORY_BYTES_MAX,
    NUMBER_MAX,
    REPLICAS_MAX,
    WORKLOADS_MAX,
)
from protos.documents_pb2 import Autonomy, ModelPlan, PipelinePlan, Plan, ServicePlan

LOCAL_CHANGES = frozenset({"scale", "pin", "restart", "rollback"})
"""What a plan can allow a site to change during an outage."""


def check_plan(plan: Plan, site: str) -> None:
    """Raises BranchRefused if `plan` is not a plan that `site` can act on."""
    if plan.site != site:
        raise checks.refused("plan.site", f"is {plan.site[:64]!r} in the branch of {site!r}")
    for place, count in (
        ("plan.models.size", len(plan.models)),
        ("plan.services.size", len(plan.services)),
        ("plan.pipelines.size", len(plan.pipelines)),
    ):
        checks.between(place, count, 0, WORKLOADS_MAX)
    for model in plan.models:
        _check_model(model)
    for service in plan.services:
        _check_service(service)
    for pipeline in plan.pipelines:
        _check_pipeline(pipeline)
    checks.unique("plan.models", ((model.name, model.version) for model in plan.models))
    checks.unique("plan.services", (service.name for service in plan.services))
    checks.unique("plan.pipelines", (pipeline.name for pipeline in plan.pipelines))
    _check_autonomy(plan.autonomy)


def _check_model(model: ModelPlan) -> None:
    checks.name("plan.models.name", model.name)
    place = f"plan.models.{model.name}"
    checks.version(f"{place}.version", model.version)
    checks.digest(f"{place}.artifact", model.artifact)
    checks.between(f"{place}.max_latency_ms", model.max_latency_ms, 0, DURATION_MS_MAX)
    checks.between(f"{place}.soak_ms", model.soak_ms, 0, DURATION_MS_MAX)


def _check_service(service: ServicePlan) -> None:
    checks.name("plan.services.name", service.name)
    place = f"plan.services.{service.name}"
    checks.name(f"{place}.model", service.model)
    checks.version(f"{place}.model_version", service.model_version)
    checks.digest(f"{place}.artifact", service.artifact)
    checks.between(f"{place}.replicas_max", service.replicas_max, 1, REPLICAS_MAX)
    checks.between(f"{place}.replicas_min", service.replicas_min, 0, service.replicas_max)
    checks.between(f"{place}.spares", service.spares, 0, REPLICAS_MAX)
    checks.between(f"{place}.cores", service.cores, 0, CORES_MAX)
    checks.between(f"{place}.memory_bytes", service.memory_bytes, 0, MEMORY_BYTES_MAX)
    checks.between(f"{place}.queue_delay_ms", service.queue_delay_ms, 0, DURATION_MS_MAX)
    checks.between(f"{place}.down_after_ms", service.down_after_ms, 0, DURATION_MS_MAX)
    checks.between(f"{place}.max_latency_ms", service.max_latency_ms, 0, DURATION_MS_MAX)
    checks.between(f"{place}.soak_ms", service.soak_ms, 0, DURATION_MS_MAX)
    checks.between(f"{place}.restarts", service.restarts, 0, NUMBER_MAX)
    checks.device(f"{place}.device", service.device)
    checks.labels(f"{place}.match_labels", service.match_labels)


def _check_pipeline(pipeline: PipelinePlan) -> None:
    checks.name("plan.pipelines.name", pipeline.name)
    place = f"plan.pipelines.{pipeline.name}"
    checks.name(f"{place}.source", pipeline.source)
    checks.name(f"{place}.service", pipeline.service)
    checks.between(f"{place}.every_ms", pipeline.every_ms, 1, DURATION_MS_MAX)
    summary = pipeline.journal_summary_every_ms
    checks.between(f"{place}.journal_summary_every_ms", summary, 0, DURATION_MS_MAX)
    checks.between(f"{place}.restarts", pipeline.restarts, 0, NUMBER_MAX)
    if not math.isfinite(pipeline.threshold) or pipeline.threshold < 0:
        raise checks.refused(f"{place}.threshold", f"is {pipeline.threshold}, no score")


def _check_autonomy(autonomy: Autonomy) -> None:
    checks.between("plan.autonomy.allow.size", len(autonomy.allow), 0, len(LOCAL_CHANGES))
    for change in autonomy.allow:
        if change not in LOCAL_CHANGES:
            raise checks.refused("plan.autonomy.allow", f"has {change[:32]!r}, no known change")
    checks.between("plan.autonomy.until_ms", autonomy.until_ms, 0, AUTONOMY_MS_MAX)
