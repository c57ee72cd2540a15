"""What a node says: its register's content to its peers, and the work to its runtime."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mesh.core import begun
from mesh.core.alarms import MORE, more
from mesh.core.messages import Run
from mesh.core.ran import Ran
from mesh.exchange.membership import AWAY_MS
from mesh.registers.store import Record
from mesh.site.local import LocalWork
from protos.documents_pb2 import Phase, PipelineState, Plan, ReplicaState, StableRegister
from protos.runtime_pb2 import KnownModel, Route

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

Routes = tuple[Route, ...]
State = TypeVar("State", ReplicaState, PipelineState)
READER_MIN = 1
"""The oldest release that may read this register."""
CONTENT_BYTES_MAX = 12 * 1024
"""Of the register's 16 KiB; the rest is room for suspicions, 3 KiB, and the envelope. Above it,
the names of those who acknowledge leases are left out (how many they are stays), then alarms, the
last first, the verdicts' reasons, the artifacts held, the last good versions, inherited
ones first, and the oldest verdicts: the journal and the disk have all of them."""
REASON_CHARACTERS_MAX = 200
"""Of the reason of a replica or a pipeline: 32 replicas take 6 KiB."""


def register_content(core: "NodeCore") -> StableRegister:
    """The content of the node's register: what is so now."""
    heads = core.peer.heads.state
    content = StableRegister(
        certificate=core.facts.certificate,
        peer_address=core.facts.peer_address,
        inference_address=core.inference_address,
        labels=core.facts.labels,
        capacity=core.facts.capacity,
        wan=core.wan and not core.leaving,  # the gateway hands over before it goes
        replicas=_replica_states(core),
        artifacts=core.collecting.claims,
        sources=sorted(core.facts.sources),
        seen_counter=heads.seen.counter if heads.seen else 0,
        applied_counter=heads.applied.counter if heads.applied else 0,
        copy_holder=core.copy_holder(),
        pipelines=[_bounded(state) for state in begun.pipelines(core)],
        alarms=core.alarms.states(),
        min_reader=READER_MIN,
        counts=core.share.counts.kept(),
        verdicts=core.share.rollouts.verdicts,
        away_ms=AWAY_MS if core.leaving else 0,
        cordoned=core.cordon.draining is not None,
        draining=bool(core.cordon.draining),
        wanted=core.share.counts.demand.wanted,
        local_changes=core.changes.envelopes(),
        admissions=_admissions(core),
        leases=core.leases.states(),
        cannot_lease=sorted(core.leases.unable.names),
        in_force_counter=core.in_force.counter,
        in_force_generation=core.in_force.generation,
        runtime_gone=core.runtime_loss.said,
        last_good=[good for _, good in sorted(core.share.rollouts.last_good.items())],
        inherited_good=[good for _, good in sorted(core.share.rollouts.inherited.items())],
    )
    _shorten(content)
    return content


def _admissions(core: "NodeCore") -> list[bytes]:
    shown = {record.body.certificate for record in core.membership.registers.records()}
    return core.admissions.to_repeat(shown | {core.facts.certificate})


def _shorten(content: StableRegister) -> None:
    """Leaves out what others can do without, the least important first, until it fits."""
    for leave_out in (
        _acknowledgers,
        _an_alarm,
        _a_reason,
        _a_cause,
        _artifacts,
        _an_inherited_good,
        _a_last_good,
        _a_verdict,
        _a_box,
    ):
        while content.ByteSize() > CONTENT_BYTES_MAX and leave_out(content):
            pass


def _acknowledgers(content: StableRegister) -> bool:
    named = next((lease for lease in content.leases if lease.acknowledged), None)
    if named is not None:
        named.ClearField("acknowledged")
    return named is not None


def _an_alarm(content: StableRegister) -> bool:
    """The last, which are the least severe; how many went is said in their place."""
    if not content.alarms:
        return False
    last = content.alarms.pop()
    left_out = last.count if last.kind == MORE else 1
    if content.alarms:
        content.alarms.pop()
        content.alarms.append(more(left_out + 1))
    return True


def _a_reason(content: StableRegister) -> bool:
    told = next((verdict for verdict in content.verdicts if verdict.reason), None)
    if told is not None:
        told.reason = ""
    return told is not None


def _a_cause(content: StableRegister) -> bool:
    states: list[ReplicaState | PipelineState] = [*content.replicas, *content.pipelines]
    told = next((state for state in states if state.reason), None)
    if told is not None:
        told.reason = ""
    return told is not None


def _artifacts(content: StableRegister) -> bool:
    held = bool(content.artifacts)
    content.ClearField("artifacts")
    return held


def _an_inherited_good(content: StableRegister) -> bool:
    return bool(content.inherited_good) and bool(content.inherited_good.pop())


def _a_last_good(content: StableRegister) -> bool:
    return bool(content.last_good) and bool(content.last_good.pop())


def _a_box(content: StableRegister) -> bool:
    return bool(content.admissions) and bool(content.admissions.pop())


def _a_verdict(content: StableRegister) -> bool:
    return bool(content.verdicts) and bool(content.verdicts.pop(0))


def _replica_states(core: "NodeCore") -> list[ReplicaState]:
    """Of what runs, and of what waits for its artifact."""
    services = {service.name: service for service in core.share.plan.services}
    waiting = [(key, services[key.workload]) for key in core.work.waiting]
    failed = core.artifacts.failed
    states = [_bounded(state) for state in begun.replicas(core)] + [
        begun.replica_state(key, plan, Phase.FETCHING, failed.get(plan.artifact, ""))
        for key, plan in waiting
    ]
    return core.quarantine.told(states)


def _bounded(state: State) -> State:
    if len(state.reason) <= REASON_CHARACTERS_MAX:
        return state
    bounded = type(state)()
    bounded.CopyFrom(state)
    bounded.reason = state.reason[:REASON_CHARACTERS_MAX]
    return bounded


def run_instruction(
    work: LocalWork,
    ran: Ran,
    plan: Plan,
    sleepers: Collection[str],
    routes: Routes,
    cause: str,
) -> Run | None:
    """All that the runtime should run now, with the neighbours that serve what it may not.
    `sleepers`: services that may have no replica, and then wake for a request.

    None where it cannot be said: a replica of an older configuration is to be kept, and nobody
    remembers that configuration. Then the runtime is left as it is.
    """
    services = {service.name: service for service in plan.services}
    pipelines = {pipeline.name: pipeline for pipeline in plan.pipelines}
    replicas = []
    for key in work.replicas:
        service = ran.plan(key, services[key.workload])
        if service is None:
            return None
        replicas.append((key, service))
    return Run(
        replicas=tuple(replicas),
        pipelines=tuple(pipelines[name] for name in work.pipelines),
        routes=routes,
        models=tuple(
            KnownModel(
                workload=s.name,
                model=s.model,
                model_version=s.model_version,
                may_sleep=s.name in sleepers,
            )
            for s in plan.services
        ),
        cause=cause,
    )


def routes_of(core: "NodeCore") -> Routes:
    """The live neighbours that serve each workload, the least loaded first."""
    routes = []
    mesh, boxes = core.peer.heads.trust.mesh, set(core.admissions.tls_keys)
    for record in core.membership.registers.records():
        node = record.body.node
        if node == core.name or not core.membership.liveness.is_alive(node):
            continue
        for workload in _served(record):
            routes.append(
                Route(
                    workload=workload,
                    node=node,
                    address=record.body.inference_address,
                    dns_name=f"{node}.node.{mesh}.mesh.internal",
                    queue_delay_ms=_delay(core, node, workload),
                    certificate=record.body.certificate if record.keys.tls_key in boxes else b"",
                )
            )
    routes.sort(key=lambda route: (route.workload, route.queue_delay_ms, route.node))
    return tuple(routes)


def _served(record: Record) -> list[str]:
    phases = [(r.workload, r.phase) for r in record.body.replicas]
    return sorted({workload for workload, phase in phases if phase == Phase.SERVING})


def _delay(core: "NodeCore", node: str, workload: str) -> int:
    load = core.membership.registers.load(node)
    services = load.services if load else ()
    return next((s.queue_delay_ms for s in services if s.workload == workload), 0)


def same_run(one: Run, other: Run) -> bool:
    """Whether two instructions say the same, whatever their causes."""
    return replace(one, cause="") == replace(other, cause="")
