"""How many replicas each service has now: this node's part of keeping the counts."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from mesh.core.by_service import ByService
from mesh.core.demand import Demand
from mesh.core.far_loads import is_confirmed
from mesh.core.runtime_view import RuntimeView
from mesh.events import Instruction, WriteJournal
from mesh.registers.store import Registers
from mesh.site.local import service_config
from mesh.site.scaling import Delay, Scaler, agreed, delay, keeper, may_sleep
from protos.documents_pb2 import Plan, ServiceCount, ServicePlan

LOOK_EVERY_MS = 500
"""Between two looks at the load, which nodes publish every 2 s."""


class Near(NamedTuple):
    """The nodes that are live, and the neighbours whose loads come here."""

    live: Collection[str]
    linked: Collection[str]


class Counts:
    """The counts of the plan's services, as this node sees them, and those that it keeps."""

    def __init__(self, node: str, registers: Registers, runtime: RuntimeView, now_ms: int) -> None:
        self._node = node
        self._registers = registers
        self._by_service = ByService(registers)
        self.demand = Demand(node, registers, self._by_service, runtime)
        self._kept: dict[str, Scaler] = {}
        self._looked_ms = now_ms
        self._plan: Plan | None = None
        self._live: Collection[str] = ()
        self._keeps: Mapping[str, ServicePlan] = {}

    def of(self, plan: Plan, live: Collection[str]) -> dict[str, int]:
        """Service to how many replicas there should be."""
        return {s.name: self._agreed(s, live) for s in plan.services}

    def look(self, plan: Plan, live: Collection[str]) -> None:
        """Takes what waits at this node's runtime now: until the keeper has heard of it, or nothing
        waits any more, this node's register says that it is wanted."""
        sleepers = {s.name: s for s in plan.services if may_sleep(s)}
        said = [sleepers[name] for name in self.demand.said if name in sleepers]
        kept = {s.name: agreed(s, live, self._said(s)) for s in said}
        self.demand.look(sleepers.keys(), kept)

    def _agreed(self, service: ServicePlan, live: Collection[str]) -> int:
        if service.replicas_min >= service.replicas_max:
            return service.replicas_min
        wanted = may_sleep(service) and bool(self.demand.wanted_by(service.name, live))
        serving = self.demand.serving(service.name, live)
        return agreed(service, live, self._said(service), wanted, serving)

    def kept(self) -> list[ServiceCount]:
        """What this node's register says: the counts that it keeps."""
        return [
            ServiceCount(workload=name, replicas=self._kept[name].count)
            for name in sorted(self._kept)
        ]

    def numbers(self) -> dict[str, int]:
        """The counts that this node keeps, by service."""
        return {name: scaler.count for name, scaler in self._kept.items()}

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to look at the load again."""
        return now_ms - self._looked_ms >= LOOK_EVERY_MS

    def tick(
        self, plan: Plan, live: Collection[str], linked: Collection[str], now_ms: int
    ) -> list[Instruction]:
        """Looks at the load now and then; journals what it changes. `linked` are the neighbours
        whose loads come here."""
        if not self.is_due(now_ms):
            return []
        self._looked_ms = now_ms
        near = Near(live, linked)
        mine = self._mine(plan, live)
        for name in self._kept.keys() - mine.keys():
            del self._kept[name]
        # What is kept here is not asked of anybody else: only a new keeper has to know the others.
        counts = self.of(plan, live) if mine.keys() - self._kept.keys() else self.numbers()
        return [
            entry
            for name in sorted(mine)
            for entry in self._look(mine[name], counts[name], near, now_ms)
        ]

    def _mine(self, plan: Plan, live: Collection[str]) -> Mapping[str, ServicePlan]:
        """The services whose count this node keeps, worked out once for each plan and site."""
        if plan is not self._plan or live != self._live:
            self._plan, self._live = plan, live
            self._keeps = {s.name: s for s in plan.services if keeper(s.name, live) == self._node}
        return self._keeps

    def _look(self, service: ServicePlan, count: int, near: Near, now_ms: int) -> list[Instruction]:
        scaler = self._kept.get(service.name)
        if scaler is None:
            # Whoever follows a keeper adopts the highest count that is said, and what serves.
            adopted = max([count, *self._said(service).values()])
            scaler = self._kept[service.name] = Scaler(adopted)
        before = scaler.count
        needed, idle = "", False
        if may_sleep(service):
            needed = self._needed(service, near.live)
            idle = self.demand.is_idle(service.name, near.live, near.linked)
        delayed = self._delay(service.name, near, now_ms)
        why = scaler.update(service, delayed, now_ms, needed, idle)
        if scaler.count == before:
            return []
        fields = {"before": str(before), "replicas": str(scaler.count)}
        return [WriteJournal("record", "service.scaled", service.name, why, fields)]

    def _needed(self, service: ServicePlan, live: Collection[str]) -> str:
        """Why a service that may sleep must not; "" if it may."""
        waits = self.demand.wanted_by(service.name, live)
        if waits:
            return f"a request waits for it at {waits}"
        if service.paused or self._by_service.is_tried(service.name, service_config(service)):
            return ""
        return "its configuration has not been tried in this site yet"

    def _said(self, service: ServicePlan) -> Mapping[str, int]:
        """By node, the count that it says; also of nodes that are dead."""
        said = self._by_service.counts(service.name)
        mine = self._kept.get(service.name)
        return said if mine is None else {**said, self._node: mine.count}

    def _delay(self, workload: str, near: Near, now_ms: int) -> Delay:
        """The queueing delay over the live nodes that serve the workload."""
        serving = [node for node in self._by_service.serving(workload) if node in near.live]
        return delay(self._queue(workload, node, near, now_ms) for node in serving)

    def _queue(self, workload: str, node: str, near: Near, now_ms: int) -> int | None:
        """What a node says of its queue (ms); None where its last word may be old."""
        here = node == self._node or node in near.linked
        if not here and not is_confirmed(self._registers, node, now_ms):
            return None
        # Who says nothing has nothing in its queue: else the only one to speak decides.
        load = self._registers.load(node)
        services = load.services if load is not None else ()
        said = [s.queue_delay_ms for s in services if s.workload == workload]
        return said[0] if said else 0
