"""This node's share of the site's work: what it runs of what the site decided, as it sees it.

The runtime is told nothing for a moment after the start (`SETTLE_MS`), nothing new while somebody
else poses as this node, and nothing that it was told already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mesh.core import view
from mesh.core.artifacts import Artifacts
from mesh.core.conflicts import Conflicts
from mesh.core.cordon import Cordon
from mesh.core.counts import Counts
from mesh.core.far_loads import FarLoads
from mesh.core.in_force import InForce
from mesh.core.messages import Run
from mesh.core.placing import Placing, changes
from mesh.core.ran import Ran
from mesh.core.rollouts import Rollouts
from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction
from mesh.exchange.membership import Membership
from mesh.site.handover import Handover, moved_and_served
from mesh.site.local import RUNS, LocalWork, ReplicaKey, artifacts_for, decide, uses_of
from mesh.site.placement import Placement, rank
from mesh.site.scaling import may_sleep
from mesh.site.views import NodeView
from protos.documents_pb2 import Plan, ServicePlan

SETTLE_MS = 1_000
"""After the start, how long to wait for the registers of the roster before the runtime is told
anything: a node that knows only itself would start all that the site runs. Dialling who is
remembered takes a quarter of it; with everybody known it is not waited for at all."""
NOTHING = Run((), (), (), ())


class Share:
    """What one node runs, keeps ready and still needs. `ran` and `rollouts` are the documents of
    these names, or empty."""

    def __init__(
        self,
        name: str,
        membership: Membership,
        in_force: InForce,
        runtime: RuntimeView,
        artifacts: Artifacts,
        conflicts: Conflicts,
        cordon: Cordon,
        ran: bytes,
        rollouts: bytes,
        now_ms: int,
    ) -> None:
        self._name = name
        self._membership = membership
        self._in_force = in_force
        self._runtime = runtime
        self._artifacts = artifacts
        self._conflicts = conflicts
        self._cordon = cordon
        self.work = LocalWork((), (), (), frozenset())
        self.ran = Ran(ran)
        self.counts = Counts(name, membership.registers, runtime, now_ms)
        self._far_loads = FarLoads(name, membership.registers, now_ms)
        self.rollouts = Rollouts(name, membership.registers, rollouts)
        self.plan = Plan()
        self.base = Plan()
        """The plan in force, with what was restarted at this site as it is."""
        self._placing = Placing()
        self._handover = Handover()
        self._counted = Plan()
        self._refused: dict[str, str] = {}
        self._last_words: dict[str, bytes] = {}
        self._remembered = {r.body.node: r.digest for r in membership.registers.records()}
        self._settle_ms: int | None = now_ms + SETTLE_MS
        self._told: Run | None = None
        self._told_before = NOTHING

    @property
    def placement(self) -> Placement:
        """Where the site's workloads run, as this node sees it."""
        return self._placing.placement

    @property
    def counted(self) -> Plan:
        """The plan in force, with as many replicas of each service as there should be now."""
        return self._counted

    @property
    def asleep(self) -> list[str]:
        """Services that have no replica now because nobody asks for them."""
        return sorted(service.name for service in self._counted.services if may_sleep(service))

    @property
    def views(self) -> list[NodeView]:
        """The nodes that placement counted on, as their registers describe them."""
        return self._placing.nodes

    @property
    def told_services(self) -> dict[ReplicaKey, ServicePlan]:
        """What the runtime was told last, by replica."""
        return dict(self._told.replicas) if self._told else {}

    @property
    def told_last(self) -> Run:
        """What the runtime was told last, or the one before it, which is gone."""
        return self._told or self._told_before

    def died(self, node: str) -> None:
        """A node is dead: what its register says of what serves there is out of date until it has
        said something else."""
        record = self._membership.registers.get(node)
        if record is not None:
            self._last_words[node] = record.digest

    def is_out_of_date(self, node: str) -> bool:
        """Whether what a node says of what runs there may be long over."""
        record = self._membership.registers.get(node)
        old = {*self._last_words.values(), *self._remembered.values()}
        return record is not None and record.digest in old

    def met(self, node: str) -> None:
        """There is a link with a node: what is remembered of it is what it says itself, or it says
        something newer at once. Of one that nobody has met since the start, nobody knows what
        serves there: it may be long gone."""
        self._remembered.pop(node, None)

    def runtime_gone(self) -> None:
        """The runtime went away: the next one was told nothing."""
        self._told_before, self._told = self.told_last, None

    def not_told(self, key: ReplicaKey | None) -> None:
        """The runtime was not told this replica after all: it is told once it can be."""
        if self._told is not None:
            left = tuple(replica for replica in self._told.replicas if replica[0] != key)
            self._told = replace(self._told, replicas=left)

    def has_settled(self, now_ms: int) -> bool:
        """Whether the wait after the start is over just now."""
        if self._settle_ms is None or now_ms < self._settle_ms:
            return False
        self._settle_ms = None
        return True

    def has_turn(self, now_ms: int) -> bool:
        """Whether a rollout's turn that came here may begin by now."""
        return self.rollouts.coming.is_due(now_ms)

    def has_handed_over(self, now_ms: int) -> bool:
        """Whether something that moved away from here may go by now."""
        return self._handover.is_due(now_ms)

    def count(self, linked: Iterable[str], now_ms: int) -> list[Instruction]:
        """Looks at the load now and then, changes the counts that this node keeps, and asks for the
        loads that do not come here. `linked` are the neighbours whose loads do."""
        if not self.counts.is_due(now_ms):
            return []
        live, near = set(self._membership.liveness.live()) - self._conflicts.clones, set(linked)
        changes = self.counts.tick(self.base, live, near, now_ms)
        return [*changes, *self._far_loads.ask(self.counts.numbers(), live, near, now_ms)]

    # ---- deciding ----

    def decide(self, cause: str, now_ms: int) -> list[Instruction]:
        """Places the plan and takes this node's part of it; journals what changed of that.

        The plan that counts is the authority's, with the counts that scaling keeps, and with the
        last good version of a service while its rollout is not here yet, or failed.
        """
        base = self.base = self.rollouts.kept(self._in_force.branch.plan)
        entries = self.rollouts.learn(self._runtime, base)
        entries += self._place(cause)
        orders = self._orders(base)
        chosen, turns = self.rollouts.effective(base, orders, self._artifacts.complete, now_ms)
        self._refused = self.rollouts.refused_by_site(base, orders)
        self.plan = _with(self._counted, chosen)
        told = self._told
        running = self._runtime.keys() if told is None else [key for key, _ in told.replicas]
        serving = self._runtime.serving()
        site = (self._name, self.plan, self._placing.placement, self._placing.nodes)
        fresh = self._handover.fresh(moved_and_served(*site, serving), now_ms)
        work = decide(*site, running, serving, held=self._artifacts.complete, fresh=fresh)
        ahead = artifacts_for(self._name, base, self._placing.placement)
        self.work = replace(work, artifacts=work.artifacts | ahead)
        return [*entries, *turns]

    def refused_by_site(self) -> dict[str, str]:
        """Services whose present version the site refuses, and the evidence."""
        return self._refused

    def artifacts_planned(self) -> set[bytes]:
        """The artifacts whose manifests every node keeps: of the plan, and the last good ones."""
        base = self._in_force.branch.plan
        planned = {model.artifact for model in base.models}
        planned |= {service.artifact for service in base.services}  # a pinned one may be no model's
        return planned | {service.artifact for service in self.plan.services}

    def uses(self) -> dict[bytes, str]:
        """The artifacts that this node has a use for, and which."""
        placement, base = self._placing.placement, self.base
        uses = dict.fromkeys(sorted(self.ran.artifacts(self._runtime.serving())), RUNS)
        for plan in (self.plan, base):
            for artifact, use in uses_of(self._name, plan, placement).items():
                uses.setdefault(artifact, use)
        for artifact in sorted(self.rollouts.good_artifacts()):
            uses.setdefault(artifact, "a last good version")
        return uses

    def _orders(self, base: Plan) -> dict[str, list[str]]:
        """The nodes that run each service, in the order in which they take their turns: those first
        that have the artifact, so that one which cannot fetch it holds up nobody. Where the runtime
        is gone nothing runs, and nobody waits for it."""
        orders = {}
        registers = self._membership.registers
        for service in base.services:
            places = self.placement.nodes_of(service.name)
            here = [n for n in self._placing.nodes if n.node in places and not n.runtime_gone]
            ranking = rank(service, here)
            lacking = {
                node
                for node in ranking
                if (record := registers.get(node)) is None
                or service.artifact not in record.body.artifacts
            }
            orders[service.name] = sorted(ranking, key=lambda node: node in lacking)
        return orders

    def _place(self, cause: str) -> list[Instruction]:
        before, base = self.placement, self.base
        able = set(self._membership.liveness.live()) - self._conflicts.clones
        self.counts.look(base, able)
        counted = _counted(base, self.counts.of(base, able))
        if counted != self._counted:
            self._counted = counted
        records = self._membership.registers.records()
        last_words = {*self._last_words.values(), *self._remembered.values()}
        least, held_back = {s.name: s.replicas_min for s in base.services}, self._cordon.held_back()
        self._placing.update(self._counted, least, records, able, last_words, held_back)
        if self.placement is before:
            return []
        return changes(base, before, self.placement, self._name, cause)

    def tell_runtime(
        self, routes: view.Routes, pipelines: Iterable[str], cause: str
    ) -> list[Instruction | Run]:
        """The instruction to the runtime, if there is something new to tell. `pipelines` are those
        of them that may run here now."""
        # Without a plan nothing is known of what should run, and unknown is not absent.
        planless = not self._in_force.branch.site
        if planless or self._runtime.gone or self._name in self._conflicts.clones:
            return []
        if not self._settled():
            return []
        work = replace(self.work, pipelines=tuple(sorted(pipelines)))
        sleepers = {s.name for s in self._in_force.branch.plan.services if may_sleep(s)}
        run = view.run_instruction(work, self.ran, self.plan, sleepers, routes, cause)
        if run is None or (self._told is not None and view.same_run(run, self._told)):
            return []
        self._told = run
        return [run, *self.ran.told(run, self._runtime.serving())]

    def _settled(self) -> bool:
        """Whether this node knows enough of its site to tell the runtime what to do."""
        if self._settle_ms is None:
            return True
        registers, roster = self._membership.registers, self._in_force.branch.roster
        return all(registers.get(entry.node) is not None for entry in roster)


def _counted(base: Plan, counts: Mapping[str, int]) -> Plan:
    """The plan, with as many replicas of each service as there should be now."""
    plan = Plan()
    plan.CopyFrom(base)
    for service in plan.services:
        service.replicas_min = counts.get(service.name, service.replicas_min)
    return plan


def _with(counted: Plan, chosen: Mapping[str, ServicePlan]) -> Plan:
    """The plan, with each service in the configuration that this node is to run."""
    plan = Plan()
    plan.CopyFrom(counted)
    counts = {service.name: service.replicas_min for service in counted.services}
    plan.ClearField("services")
    for name in sorted(chosen):
        service = ServicePlan()
        service.CopyFrom(chosen[name])
        service.replicas_min = counts[name]
        plan.services.append(service)
    return plan
