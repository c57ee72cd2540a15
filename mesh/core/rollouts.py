"""Rollouts as one node sees them: whose turn it is, what it refuses, what the last good one is.

Refusals and last good versions are kept on disk, so that neither is forgotten over a restart; they
stand in the register, so that a node that takes over for another knows them as well.

The last good version is the newest that soaked here; the one before it is kept on disk as well, for
the case that the site refuses a version that had passed here. A node that has run no good version
itself takes the one that most registers name (ties: the greatest bytes, so that all agree). A liar
may so name an old version to such a node, or odd resources for it. That harm is bounded: it runs
only what a release key signed, for as long as the rollout lasts, and only where the liars outnumber
those who ran a good version. What nobody names but nodes that are shut out of the site, the others
go on naming as inherited: that counts where nobody says that he ran a good version himself.

A node that serves counts as passed once it says `soaked`. A node of an older release cannot say it:
where the gate asks for no soak, serving is enough; else those behind it wait, with the last good
version, until it is upgraded.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from mesh.core.runtime_view import RuntimeView, key_of
from mesh.core.stages import Stages
from mesh.core.turns import Turns
from mesh.events import Instruction, SaveDocument, WriteJournal
from mesh.registers.store import Record, Registers
from mesh.site.changes import LOCAL_RESTART, restarted
from mesh.site.local import ReplicaKey, service_config
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
"""Kept of one node, the newest; each is about 300 bytes, 800 at most."""
REASON_CHARACTERS_MAX = 160
EVIDENCE_MAX = 4
"""Refusals told in an alarm: registers of others, which may lie, must not fill our own."""
SETTLED = (Phase.SERVING, Phase.FAILED, Phase.REFUSED)


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
        # The newest stands last, as `_save` writes it.
        self.last_good: dict[str, ServicePlan] = {s.name: s for s in kept.last_good}
        self._before = {s.name: s for s in reversed(kept.last_good)}
        # Between the two, as many of each: the last good ones of another version.
        ends = len(self._before)
        self._earlier = {s.name: s for s in kept.last_good[ends : len(kept.last_good) - ends]}
        self.inherited = {s.name: s for s in kept.inherited_good}
        self.turns: dict[str, Turn] = {}
        self._told: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._settled: set[ReplicaKey] = set()
        # By service, the configuration whose turn has begun here. Our register says so only later,
        # and whoever went by that would stop what it has just started, and start it again.
        self._begun: dict[str, str] = {}
        self.coming = Turns()
        self._stages = Stages()
        self._named: dict[str, list[ServicePlan]] = {}
        self._handed_on: dict[str, list[ServicePlan]] = {}
        self._named_generation = -1

    def good_artifacts(self) -> set[bytes]:
        """Of the versions that this node may go back to: the last good ones, and the ones before
        them."""
        kept = (self.last_good, self._before, self._earlier)
        good = [service for known in kept for service in known.values()]
        return {service.artifact for service in good}

    # ---- what operators at the site did ----

    def kept(self, plan: Plan) -> Plan:
        """The plan, with what was restarted at this site left as it is, though the restart's time
        is over; `plan` itself where there is none."""
        done = {s.name: n for s in plan.services if (n := self._restarts(s))}
        if not done:
            return plan
        result = Plan()
        result.CopyFrom(plan)
        for service in result.services:
            service.restarts = done.get(service.name, service.restarts)
        return result

    def _restarts(self, service: ServicePlan) -> int:
        """The restarts of the good version that a service stays with; 0: those of its plan."""
        own = self.last_good.get(service.name)
        named = self._named_by_registers(service.name) if own is None else [own]
        if not any(good.restarts >= LOCAL_RESTART for good in named):
            return 0
        good = self._good(service, refused=False)
        return good.restarts if good is not None and restarted(service, good) else 0

    def earlier(self, service: ServicePlan) -> ServicePlan | None:
        """The good version before the one that `service` names: this node's own, else the one that
        most registers name. None: there is none, or nobody here knows of it."""
        for known in (self.last_good, self._earlier):
            own = known.get(service.name)
            if own is not None and _is_other(own, service):
                return own
        named = [g for g in self._named_by_registers(service.name) if _is_other(g, service)]
        return _most_named(named) if named else None

    # ---- who is shut out ----

    def inherit(
        self, records: Sequence[Record], gone: Collection[str], planned: Iterable[ServicePlan]
    ) -> None:
        """Goes on knowing the last good versions that of `records` only those of nodes name that
        are shut out of the site (`gone`): of the services `planned`, for one that lies names any.
        """
        left, taken = set(self.last_good), dict[str, list[ServicePlan]]()
        for record in records:
            if record.body.node not in gone:
                left |= {good.name for good in record.body.last_good}
                continue
            for good in (*record.body.last_good, *record.body.inherited_good):
                taken.setdefault(good.name, []).append(good)
        names = {service.name for service in planned}
        for name in sorted(taken.keys() & names - left):
            self.inherited[name] = _most_named(taken[name])
        self._named_generation = -1

    # ---- what runs says ----

    def learn(self, runtime: RuntimeView, plan: Plan) -> list[Instruction]:
        """Takes what the runtime says of the plan's services: what passed, what is refused."""
        if runtime.gone:
            return []
        replicas = runtime.state.replicas
        self._settled = {key_of(s) for s in replicas if s.state.phase in SETTLED}
        services = {(s.name, service_config(s)): s for s in plan.services}
        entries: list[Instruction] = []
        for status in replicas:
            service = services.get((status.state.workload, status.state.config))
            if service is None:
                continue
            self._begun[service.name] = status.state.config
            if status.state.phase == Phase.REFUSED:
                entries += self._refuse(service, status.state)
            elif status.state.soaked:
                entries += self._passed(service)
        if plan.site:  # without a plan nothing is known to be gone
            self._forget_but({service.name for service in plan.services})
        return [*self._save(), *entries]

    def _forget_but(self, names: set[str]) -> None:
        """A service that was deleted begins anew if it is created again."""
        for known in (self.last_good, self._before, self._earlier, self.inherited):
            for gone in sorted(known.keys() - names):
                del known[gone]

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

    def _passed(self, service: ServicePlan) -> list[Instruction]:
        name, config = service.name, service_config(service)
        known = self.last_good.get(name)
        if self._refused.get(name) == config:
            return []  # it had passed here, and the site took it back
        if known is not None and service_config(known) == config:
            return []
        good = _without_holds(service)
        if known is not None and _is_other(known, service):
            self._earlier[name] = known
        self.last_good[name] = good
        self._before[name] = good if known is None else known
        fields = {"config": config, "version": service.model_version}
        return [WriteJournal("record", "rollout.passed", name, "it serves and has soaked", fields)]

    def _take_back(self, service: ServicePlan) -> list[Instruction]:
        """The site refuses what had passed here: the one before it is the last good version."""
        name, config = service.name, service_config(service)
        self._refused[name] = config
        known = self.last_good.get(name)
        if known is None or service_config(known) != config:
            return []
        del self.last_good[name]
        before = self._before.pop(name)
        if service_config(before) != config:
            self.last_good[name] = self._before[name] = before
        return self._save()

    def _save(self) -> list[Instruction]:
        goods = (self._before, self._earlier, self.last_good)
        ordered = [good[name] for good in goods for name in sorted(good)]
        inherited = [good for _, good in sorted(self.inherited.items())]
        kept = StableRegister(verdicts=self.verdicts, last_good=ordered, inherited_good=inherited)
        document = kept.SerializeToString(deterministic=True)
        if document == self._document:
            return []
        self._document = document
        return [SaveDocument(ROLLOUTS, document, "a gate's outcome")]

    # ---- whose turn ----

    def effective(
        self,
        plan: Plan,
        orders: Mapping[str, Sequence[str]],
        held: Collection[bytes],
        now_ms: int,
    ) -> tuple[dict[str, ServicePlan], list[Instruction]]:
        """Each service in the configuration that this node should run, by its name.

        `orders`: the live nodes that run each service, as rendezvous ranks them. `held`: the
        artifacts that are whole on this disk.
        """
        records = self._registers.records()
        chosen: dict[str, ServicePlan] = {}
        entries: list[Instruction] = []
        turns: dict[str, Turn] = {}
        stages_of = self._stages.of(plan.services, records)
        for service in plan.services:
            order, stages = orders.get(service.name, ()), stages_of[service.name]
            self._add_own(service, stages)
            refused = is_refused(order, stages)
            if refused:
                entries += self._take_back(service)
            else:
                self._refused.pop(service.name, None)
            good = self._good(service, refused)
            protects = good is not None and service_config(good) != service_config(service)
            runs = good is not None and self._runs(good)
            beside = good is None or runs or good.artifact not in held
            answer = turn(self._node, order, stages, protects, service.paused, beside)
            answer = self._in_time(service, answer, held, now_ms)
            # Who begins without the model, and runs no good version, must not wait for it idly.
            idle = protects and not runs and service.artifact not in held
            use_new = good is None or (answer.target is Target.NEW and not idle)
            chosen[service.name] = service if use_new or good is None else _merged(good, service)
            self._note_turn(service, use_new and self._node in order, held)
            if not answer.begins or service.artifact in held:  # else another may be quicker
                entries += self._tell(service, answer, refused and protects)
            turns[service.name] = answer
        self.turns, self.coming.decided_ms = turns, now_ms
        return chosen, entries

    def _in_time(
        self, service: ServicePlan, answer: Turn, held: Collection[bytes], now_ms: int
    ) -> Turn:
        """The answer, or, where a turn came just now, that it is waited with."""
        if not answer.begins:
            self.coming.went(service.name)
            return answer
        stands = self.coming.stands(service.name, service_config(service), now_ms)
        if stands or service.artifact not in held:
            return answer
        return Turn(Target.LAST_GOOD, "its turn, once that has stood for a second")

    def _note_turn(self, service: ServicePlan, is_new: bool, held: Collection[bytes]) -> None:
        """Remembers that a turn has begun: who only fetches the model has not."""
        if is_new and service.artifact in held:
            self._begun[service.name] = service_config(service)
        else:
            self._begun.pop(service.name, None)

    def _runs(self, good: ServicePlan) -> bool:
        """Whether a version runs on this node, well or badly."""
        config = service_config(good)
        return any((k.workload, k.config) == (good.name, config) for k in self._settled)

    def refused_by_site(self, plan: Plan, orders: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Services whose present configuration the site refuses, and the evidence."""
        records = self._registers.records()
        stages_of = self._stages.of(plan.services, records)
        found = {}
        for service in plan.services:
            stages = stages_of[service.name]
            self._add_own(service, stages)
            if is_refused(orders.get(service.name, ()), stages):
                found[service.name] = self._evidence(service, records)
        return found

    def _evidence(self, service: ServicePlan, records: Sequence[Record]) -> str:
        config = service_config(service)
        reasons = [
            f"{record.body.node}: {verdict.reason[:REASON_CHARACTERS_MAX]}"
            for record in records
            for verdict in record.body.verdicts
            if (verdict.workload, verdict.config) == (service.name, config)
        ]
        version = f"{service.model}@{service.model_version}"
        said = (
            f"{version} failed its gate, the last good version serves on until another is applied"
        )
        return "; ".join([said, *reasons[:EVIDENCE_MAX]])

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

    def _add_own(self, service: ServicePlan, stages: dict[str, Stage]) -> None:
        """What this node knows of itself, and its register perhaps not yet."""
        config = service_config(service)
        refusing = any((v.workload, v.config) == (service.name, config) for v in self.verdicts)
        if refusing:
            stages[self._node] = Stage.REFUSED
        elif self._begun.get(service.name) == config:
            known = stages.get(self._node, Stage.OLD)
            stages[self._node] = Stage.TRYING if known is Stage.OLD else known

    def _named_by_registers(self, name: str) -> list[ServicePlan]:
        """The last good versions of a service that registers name, in the nodes' order; those that
        were inherited where no node ran one."""
        if self._named_generation != self._registers.generation:
            self._named_generation = self._registers.generation
            self._named, self._handed_on = {}, {n: [g] for n, g in self.inherited.items()}
            for record in self._registers.records():
                for good in record.body.last_good:
                    self._named.setdefault(good.name, []).append(good)
                for good in record.body.inherited_good:
                    self._handed_on.setdefault(good.name, []).append(good)
        return self._named.get(name) or self._handed_on.get(name, [])

    def _good(self, service: ServicePlan, refused: bool) -> ServicePlan | None:
        """The last good version: this node's own, or the one that most registers name. What the
        site refuses is none, whoever says so."""
        if service.name in self.last_good:
            return self.last_good[service.name]
        bad = service_config(service) if refused else None
        named = [g for g in self._named_by_registers(service.name) if service_config(g) != bad]
        return _most_named(named) if named else None


def _most_named(goods: Sequence[ServicePlan]) -> ServicePlan:
    """The one of them that is there most often; ties: the greatest bytes."""
    named = Counter(good.SerializeToString(deterministic=True) for good in goods)
    return ServicePlan.FromString(max(named, key=lambda key: (named[key], key)))


def _is_other(good: ServicePlan, service: ServicePlan) -> bool:
    """Whether `good` is another version of the service's model."""
    same = (good.name, good.model) == (service.name, service.model)
    return same and good.artifact != service.artifact


def _without_holds(service: ServicePlan) -> ServicePlan:
    """The service without what an operator holds about it now, and since when it is so: that is no
    part of a version, and nodes that passed the same one before and after must name the same bytes.
    """
    version = ServicePlan()
    version.CopyFrom(service)
    version.ClearField("paused")
    version.ClearField("pinned")
    version.ClearField("since")
    return version


def _merged(good: ServicePlan, now: ServicePlan) -> ServicePlan:
    """The last good version, under what the plan of now says of numbers and places."""
    merged = ServicePlan()
    merged.CopyFrom(good)
    for name in ("replicas_min", "replicas_max", "queue_delay_ms", "down_after_ms", "spares"):
        setattr(merged, name, getattr(now, name))
    merged.match_labels.clear()
    merged.match_labels.update(now.match_labels)
    return merged
