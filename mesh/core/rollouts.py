"""Rollouts as one node sees them: whose turn it is, what it refuses, what the last good one is.

Refusals and last good versions are kept on disk, so that neither is forgotten over a restart; they
stand in the register, so that a node that takes over for another knows them as well.
"""

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError

from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction, SaveDocument, WriteJournal
from mesh.registers.store import Record, Registers
from mesh.site.local import service_config
from mesh.site.rollout import Stage, Target, Turn, is_refused, turn
from protos.documents_pb2 import (
    Phase,
    Plan,
    ReplicaState,
    ServicePlan,
    ServiceVerdict,
    StableRegister,
)

ROLLOUTS = "rollouts"
"""The document: a register that holds nothing but verdicts and last good versions."""
VERDICTS_MAX = 32
"""Kept of one node, the newest; each is about 300 bytes."""
REASON_CHARACTERS_MAX = 160


class Rollouts:
    """This node's part in rolling services out. `document` is what the disk holds, or empty."""

    def __init__(self, node: str, registers: Registers, document: bytes) -> None:
        self._node = node
        self._registers = registers
        self._document = document
        try:
            kept = StableRegister.FromString(document)
        except DecodeError:
            kept = StableRegister()  # of another release: nothing is remembered
        self.verdicts: list[ServiceVerdict] = list(kept.verdicts)
        self.last_good: dict[str, ServicePlan] = {s.name: s for s in kept.last_good}
        self.turns: dict[str, Turn] = {}
        self._told: dict[str, str] = {}

    # ---- what runs says ----

    def learn(self, runtime: RuntimeView, plan: Plan) -> list[Instruction]:
        """Takes what the runtime says of the plan's services: what passed, what is refused."""
        if runtime.gone:
            return []
        services = {(s.name, service_config(s)): s for s in plan.services}
        entries: list[Instruction] = []
        for status in runtime.state.replicas:
            service = services.get((status.state.workload, status.state.config))
            if service is None:
                continue
            if status.state.phase == Phase.REFUSED:
                entries += self._refuse(service, status.state)
            elif status.state.soaked:
                self._passed(service)
        names = {service.name for service in plan.services}
        for gone in sorted(self.last_good.keys() - names):
            del self.last_good[gone]
        return [*self._save(), *entries]

    def _refuse(self, service: ServicePlan, state: ReplicaState) -> list[Instruction]:
        if any((v.workload, v.config) == (state.workload, state.config) for v in self.verdicts):
            return []
        verdict = ServiceVerdict(
            workload=state.workload,
            config=state.config,
            model_version=service.model_version,
            reason=state.reason[:REASON_CHARACTERS_MAX],
        )
        self.verdicts = [*self.verdicts, verdict][-VERDICTS_MAX:]
        fields = {"config": state.config, "version": service.model_version}
        return [WriteJournal("record", "rollout.refused", service.name, state.reason, fields)]

    def _passed(self, service: ServicePlan) -> None:
        known = self.last_good.get(service.name)
        if known is None or service_config(known) != service_config(service):
            good = ServicePlan()
            good.CopyFrom(service)
            self.last_good[service.name] = good

    def _save(self) -> list[Instruction]:
        kept = StableRegister(
            verdicts=self.verdicts,
            last_good=[self.last_good[name] for name in sorted(self.last_good)],
        )
        document = kept.SerializeToString(deterministic=True)
        if document == self._document:
            return []
        self._document = document
        return [SaveDocument(ROLLOUTS, document, "a gate's outcome")]

    # ---- whose turn ----

    def effective(
        self, plan: Plan, orders: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, ServicePlan], list[Instruction]]:
        """Each service in the configuration that this node should run, by its name.

        `orders`: the live nodes that run each service, as rendezvous ranks them.
        """
        records = self._registers.records()
        chosen: dict[str, ServicePlan] = {}
        entries: list[Instruction] = []
        for service in plan.services:
            good = self._good(service, records)
            stages = self._stages(service, records)
            order = orders.get(service.name, ())
            protects = good is not None and service_config(good) != service_config(service)
            answer = turn(self._node, order, stages, protects, paused=False)
            use_new = answer.target is Target.NEW or good is None
            chosen[service.name] = service if use_new or good is None else _merged(good, service)
            entries += self._tell(service, answer, is_refused(order, stages) and protects)
            self.turns[service.name] = answer
        return chosen, entries

    def refused_by_site(self, plan: Plan, orders: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Services whose present configuration the site refuses, and the evidence."""
        records = self._registers.records()
        found = {}
        for service in plan.services:
            if is_refused(orders.get(service.name, ()), self._stages(service, records)):
                found[service.name] = self._evidence(service, records)
        return found

    def _evidence(self, service: ServicePlan, records: Sequence[Record]) -> str:
        config = service_config(service)
        reasons = [
            f"{record.body.node}: {verdict.reason}"
            for record in records
            for verdict in record.body.verdicts
            if (verdict.workload, verdict.config) == (service.name, config)
        ]
        version = f"{service.model}@{service.model_version}"
        return f"{version} failed its gate, the last good version serves on; " + "; ".join(reasons)

    def _tell(self, service: ServicePlan, answer: Turn, refused: bool) -> list[Instruction]:
        """Journals a change of what this node does about a service's rollout."""
        said = f"{service_config(service)} {answer.target.value} {refused}"
        before = self._told.get(service.name)
        self._told[service.name] = said
        if said == before or (before is None and answer.target is Target.NEW):
            return []
        event = "rollout.refused_by_site" if refused else "rollout.turn"
        fields = {"runs": answer.target.value, "version": service.model_version}
        return [WriteJournal("record", event, service.name, answer.why, fields)]

    def _stages(self, service: ServicePlan, records: Sequence[Record]) -> dict[str, Stage]:
        """How far each node is with the service's present configuration."""
        config = service_config(service)
        stages = {r.body.node: _stage(r.body, service.name, config) for r in records}
        refusing = any((v.workload, v.config) == (service.name, config) for v in self.verdicts)
        if refusing:
            stages[self._node] = Stage.REFUSED
        return stages

    def _good(self, service: ServicePlan, records: Sequence[Record]) -> ServicePlan | None:
        """The last good version: this node's own, or the one that most registers name."""
        if service.name in self.last_good:
            return self.last_good[service.name]
        named: dict[bytes, int] = {}
        for record in records:
            for good in record.body.last_good:
                if good.name == service.name:
                    key = good.SerializeToString(deterministic=True)
                    named[key] = named.get(key, 0) + 1
        if not named:
            return None
        return ServicePlan.FromString(max(named, key=lambda key: (named[key], key)))


def _stage(body: StableRegister, workload: str, config: str) -> Stage:
    if any((v.workload, v.config) == (workload, config) for v in body.verdicts):
        return Stage.REFUSED
    states = [r for r in body.replicas if (r.workload, r.config) == (workload, config)]
    if not states:
        return Stage.OLD
    if all(state.phase == Phase.SERVING and state.soaked for state in states):
        return Stage.PASSED
    return Stage.TRYING


def _merged(good: ServicePlan, now: ServicePlan) -> ServicePlan:
    """The last good version, under what the plan of now says of numbers and places."""
    merged = ServicePlan()
    merged.CopyFrom(good)
    for name in ("replicas_min", "replicas_max", "queue_delay_ms", "down_after_ms", "spares"):
        setattr(merged, name, getattr(now, name))
    merged.match_labels.clear()
    merged.match_labels.update(now.match_labels)
    return merged
