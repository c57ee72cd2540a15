"""From resources to the blobs that the state's tree is made of.

Deterministic: the same input makes the same bytes, whatever the order it came in, so that a master
that compiles again what holds already signs nothing. Compilation decides nothing about nodes: which
node runs what is the site's own affair. The caller has checked references before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.desired.collection import Released, Resources
from mesh.desired.holds import NOTHING_HELD, Holds
from mesh.desired.problems import Problem, ResourcesRefused
from mesh.desired.resources import Autonomy, Gate, Pipeline, Service
from mesh.desired.since import tell_since
from mesh.heads.branches import (
    RELEASED,
    REVOCATIONS,
    BranchRefused,
    open_released,
    open_revocations,
    open_site_branch,
    site_branch_name,
)
from mesh.heads.limits import FORMER_MAX
from protos.documents_pb2 import Autonomy as AutonomyPlan
from protos.documents_pb2 import (
    Delegation,
    FormerEntry,
    ModelPlan,
    PipelinePlan,
    Plan,
    ReleasedArtifact,
    Revocation,
    Revocations,
    RosterEntry,
    ServicePlan,
    SiteBranch,
)
from protos.documents_pb2 import Released as ReleasedBlob

Restarts = Mapping[tuple[str, str], int]
"""How often `meshctl restart` was asked for, by site and workload."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the state is compiled from. `rosters`, `delegations` and `former`, who is in
    the roster no more, are by site. `continued`: see SiteBranch."""

    resources: Resources = field(default_factory=Resources)
    released: Released = field(default_factory=dict)
    rosters: Mapping[str, Sequence[RosterEntry]] = field(default_factory=dict)
    restarts: Restarts = field(default_factory=dict)
    revocations: Sequence[Revocation] = ()
    holds: Holds = NOTHING_HELD
    delegations: Mapping[str, Sequence[Delegation]] = field(default_factory=dict)
    former: Mapping[str, Sequence[FormerEntry]] = field(default_factory=dict)
    continued: int = 0


def compile_all(
    inputs: Inputs, before: Mapping[str, bytes] | None = None, counter: int = 1
) -> dict[str, bytes]:
    """Every branch of the state's tree: its name and its blob. Raises ResourcesRefused.

    `before` are the branches of the state before, `counter` is that of the next one. A site has a
    branch as soon as a node is enrolled there or a resource names it.
    """
    before = before or {}
    sites = sorted(set(inputs.rosters) | inputs.resources.named_sites())
    blobs = {
        RELEASED: compile_released(inputs.released).SerializeToString(deterministic=True),
        REVOCATIONS: _revocations(inputs.revocations).SerializeToString(deterministic=True),
    }
    for site in sites:
        roster = inputs.rosters.get(site, ())
        branch = compile_site(
            site, inputs.resources, inputs.released, roster, inputs.restarts, inputs.holds
        )
        delegated = sorted(inputs.delegations.get(site, ()), key=lambda one: one.id)
        branch.delegations.extend(delegated)
        _tell_former(branch, inputs.former.get(site, ()))
        branch.continued = inputs.continued
        said = SiteBranch.FromString(before.get(site_branch_name(site), b""))
        tell_since(branch.plan, said.plan, counter)
        blobs[site_branch_name(site)] = branch.SerializeToString(deterministic=True)
    for name, blob in blobs.items():
        _check(name, blob)
    return blobs


def compile_site(
    site: str,
    resources: Resources,
    released: Released,
    roster: Sequence[RosterEntry],
    restarts: Restarts | None = None,
    holds: Holds = NOTHING_HELD,
) -> SiteBranch:
    """The branch of one site: its roster by node, its plan by name, its labels."""
    resource = resources.site(site)
    restarts = restarts or {}
    services = [one for one in resources.services() if resources.selects(one.spec.sites, site)]
    pipelines = [one for one in resources.pipelines() if resources.selects(one.spec.sites, site)]
    gates = {model.metadata.name: model.spec.gate for model in resources.models()}
    models = _model_plans(site, resources, released, services, gates, holds)
    by_version = {(model.name, model.version): model for model in models}
    plan = Plan(
        site=site,
        models=models,
        services=[
            _service_plan(
                site,
                one,
                by_version[holds.model(site, one)],
                restarts.get((site, one.metadata.name), 0),
                holds,
            )
            for one in services
        ],
        pipelines=[
            _pipeline_plan(one, restarts.get((site, one.metadata.name), 0)) for one in pipelines
        ],
        autonomy=_autonomy_plan(resource.spec.autonomy if resource else Autonomy()),
    )
    ordered = sorted(roster, key=lambda entry: entry.node)
    labels = resource.metadata.labels if resource else {}
    return SiteBranch(site=site, roster=ordered, plan=plan, labels=labels)


def _tell_former(branch: SiteBranch, former: Sequence[FormerEntry]) -> None:
    """The last that were taken out of the roster, and from which state on that is all."""
    ordered = sorted(former, key=lambda one: (one.until, one.node, one.tls_key))
    branch.former.extend(ordered[-FORMER_MAX:])
    untold = ordered[:-FORMER_MAX]
    branch.rosters_from = untold[-1].until if untold else 0


def compile_released(released: Released) -> ReleasedBlob:
    """The list of released artifacts, by name and version."""
    return ReleasedBlob(
        artifacts=[
            ReleasedArtifact(name=name, version=version, digest=released[name, version].digest)
            for name, version in sorted(released)
        ]
    )


def _revocations(revocations: Sequence[Revocation]) -> Revocations:
    ordered = sorted(revocations, key=lambda one: (one.subject, one.tls_key))
    return Revocations(entries=ordered)


def _model_plans(
    site: str,
    resources: Resources,
    released: Released,
    services: Sequence[Service],
    gates: Mapping[str, Gate],
    holds: Holds,
) -> list[ModelPlan]:
    staged = {
        (model.metadata.name, model.spec.version)
        for model in resources.models()
        if model.spec.stage and resources.selects(model.spec.stage.sites, site)
    }
    needed = {holds.model(site, one) for one in services}
    plans = []
    for name, version in sorted(staged | needed):
        gate = gates[name]
        plans.append(
            ModelPlan(
                name=name,
                version=version,
                artifact=released[name, version].digest,
                max_latency_ms=gate.max_latency,
                soak_ms=gate.soak,
                staged=(name, version) in staged,
            )
        )
    return plans


def _service_plan(
    site: str, service: Service, model: ModelPlan, restarts: int, holds: Holds
) -> ServicePlan:
    spec, name = service.spec, service.metadata.name
    return ServicePlan(
        name=name,
        model=model.name,
        model_version=model.version,
        artifact=model.artifact,
        replicas_min=spec.replicas.min,
        replicas_max=spec.replicas.most,
        cores=spec.resources.cores,
        memory_bytes=spec.resources.memory,
        queue_delay_ms=spec.scaling.queue_delay,
        down_after_ms=spec.scaling.down_after,
        spares=spec.spares,
        restarts=restarts,
        match_labels=spec.placement.match_labels,
        device=spec.device,
        max_latency_ms=model.max_latency_ms,
        soak_ms=model.soak_ms,
        paused=(site, name) in holds.paused,
        pinned=(site, name) in holds.pinned,
    )


def _pipeline_plan(pipeline: Pipeline, restarts: int) -> PipelinePlan:
    spec = pipeline.spec
    return PipelinePlan(
        name=pipeline.metadata.name,
        source=spec.source,
        service=spec.service,
        every_ms=spec.every,
        journal_on_change=spec.journal.on_change,
        journal_summary_every_ms=spec.journal.summary_every,
        exclusive=spec.exclusive,
        run_on_split=spec.on_split == "run",
        restarts=restarts,
        threshold=spec.threshold,
    )


def _autonomy_plan(autonomy: Autonomy) -> AutonomyPlan:
    return AutonomyPlan(allow=sorted(set(autonomy.allow)), until_ms=autonomy.until)


def _check(name: str, blob: bytes) -> None:
    """Refuses what the sites would refuse: nothing is signed that nobody could use."""
    try:
        if name == RELEASED:
            open_released(blob)
        elif name == REVOCATIONS:
            open_revocations(blob)
        else:
            open_site_branch(blob, name.removeprefix("site/"))
    except BranchRefused as refused:
        what, advice = str(refused).partition(". ")[0], "apply fewer or smaller resources there"
        raise ResourcesRefused([Problem(0, 0, name, what, advice)]) from None
