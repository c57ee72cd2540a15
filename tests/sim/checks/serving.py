"""Availability: the minimum after a failure, nothing stopped or restarted without need."""

from collections.abc import Mapping

from mesh.site.local import ReplicaKey
from tests.sim.checks.check import Check
from tests.sim.checks.facts import (
    Died,
    Fact,
    FaultBegan,
    FaultEnded,
    PlanSigned,
    ReplicaStopped,
    Sample,
    Served,
    WorkerStarted,
)
from tests.sim.checks.room import expected, expected_of, first_come, minima, room_for

HEAL_MS = 6_000
SINGLES = frozenset(
    {"power", "agent", "doomed agent", "doomed machine", "freeze", "isolate", "cut", "wan"}
    | {"runtime freeze", "runtime death"}
)
UNSEEN_MS = 8_000
"""What served so long ago may be believed to serve: detection takes up to 6 s."""
KEPT_MS = 10_000
REST_MS = 60_000
"""After the last fault or change: a rollout over four nodes, with soaks and a disk that was full
for a while, takes half of it."""


class Minimum(Check):
    """Judged after a failure that is alone, until something else happens, as far as there is room
    on what is left."""

    promise = "at least min replicas serve within 6 s of any single failure"

    def __init__(self) -> None:
        super().__init__()
        self._failure: FaultBegan | None = None
        self._since_ms: int | None = None

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            self._failure = fact if fact.alone and fact.kind in SINGLES else None
            self._since_ms = None if fact.kind.startswith("doomed") else fact.at_ms
        elif isinstance(fact, Died):
            self._since_ms = fact.at_ms if self._since_ms is None else self._since_ms
        elif isinstance(fact, FaultEnded):
            self._failure = None
        elif isinstance(fact, Sample) and self._failure and self._since_ms is not None:
            after_ms = fact.at_ms - self._since_ms
            if after_ms > HEAL_MS:
                self._judge(fact, self._failure, after_ms)

    def _judge(self, sample: Sample, failure: FaultBegan, after_ms: int) -> None:
        lost = failure.subject if failure.kind == "isolate" else ""
        nodes = {name: node for name, node in sample.nodes.items() if name != lost}
        for name, least in expected_of(minima(sample.plan), nodes).items():
            count = sum(node.serves(name) for node in nodes.values())
            if count < least:
                what = f"{count} of {least} {name}"
                self.breaks(
                    sample.at_ms, f"{what} {after_ms} ms after {failure.kind} {failure.subject}"
                )


class Reconnection(Check):
    """The workers that served before the way to the master was there again still serve after, or
    went with a count that fell: nothing was started for them."""

    promise = "a reconnect restarts no workload that was right"

    def __init__(self) -> None:
        super().__init__()
        self._cut_counter: int | None = None
        self._counter = 0
        self._last: Sample | None = None
        self._before: dict[tuple[str, ReplicaKey], int] | None = None
        self._ended_ms = 0
        self._started: set[str] = set()

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            alone = fact.kind == "wan" and fact.alone
            self._cut_counter = self._counter if alone else None
            self._before = None
        elif isinstance(fact, FaultEnded) and fact.kind == "wan":
            if self._cut_counter is not None and self._last is not None:
                self._before, self._ended_ms = _workers(self._last), fact.at_ms
                self._started = set()
        elif isinstance(fact, WorkerStarted):
            self._started.add(fact.key.workload)
        elif isinstance(fact, Sample):
            self._sampled(fact)

    def _sampled(self, sample: Sample) -> None:
        self._last, self._counter = sample, sample.counter
        if self._before is None or self._cut_counter != sample.counter:
            return
        if sample.at_ms - self._ended_ms >= KEPT_MS:
            now, least = _workers(sample), {s.name: s.replicas_min for s in sample.plan}
            for (node, key), pid in sorted(self._before.items() - now.items()):
                left = sum(one.serves(key.workload) for one in sample.nodes.values())
                is_fewer = (node, key) not in now and key.workload not in self._started
                if not is_fewer or left < least.get(key.workload, 0):
                    what = f"{node}: {key.workload} {key.index}, pid {pid}, is gone"
                    self.breaks(sample.at_ms, what)
            self._before = None


def _workers(sample: Sample) -> dict[tuple[str, ReplicaKey], int]:
    return {(n, key): pid for n, node in sample.nodes.items() for key, pid in node.pids.items()}


class UnknownIsNotAbsent(Check):
    """A node ends a replica that serves only where enough others serve, or served a moment ago, or
    where there is no room for it on the machines that it exchanges packets with."""

    promise = "nothing is stopped because something is not known"

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._samples: list[Sample] = []

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Sample):
            self._samples = [s for s in self._samples if fact.at_ms - s.at_ms < UNSEEN_MS] + [fact]
            for name, node in fact.nodes.items():
                counts = {service.name: node.serves(service.name) for service in fact.plan}
                self._saw(fact.at_ms, name, counts)
        elif isinstance(fact, Served):
            self._saw(fact.at_ms, fact.node, fact.counts)
        elif isinstance(fact, ReplicaStopped):
            others = sum(
                count
                for (node, workload), (at_ms, count) in self._seen.items()
                if workload == fact.workload
                and node != fact.node
                and fact.at_ms - at_ms <= UNSEEN_MS
            )
            least = self._least(fact)
            if others + fact.here + fact.formerly < least:
                what = f"{fact.node} stops {fact.workload}, and {others} others serve"
                self.breaks(fact.at_ms, f"{what}, {fact.here} more here; {least} should")

    def _saw(self, at_ms: int, node: str, counts: Mapping[str, int]) -> None:
        self._seen |= {(node, name): (at_ms, count) for name, count in counts.items() if count}

    def _least(self, fact: ReplicaStopped) -> int:
        """As many as asked for; at least what there is room for, as it was in these seconds."""
        room = min((room_for(fact.node, sample) for sample in self._samples), default=0)
        fits = sum(fact.asked.values()) <= room
        least = first_come(fact.least, fact.asked)
        return (fact.asked if fits else expected(least, room)).get(fact.workload, 0)


class RolloutsTakeNothing(Check):
    """After a change of the plan that is alone, until something else happens."""

    promise = "during a rollout no fewer replicas serve than the plan asks for"

    def __init__(self) -> None:
        super().__init__()
        self._plans: list[dict[str, int]] = []
        self._judged = False

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            self._judged = fact.kind == "plan" and fact.alone
        elif isinstance(fact, PlanSigned):
            self._plans = [*self._plans[-1:], minima(fact.services)]
        elif isinstance(fact, Sample) and self._judged:
            fewest = {name: min(plan[name] for plan in self._plans) for name in minima(fact.plan)}
            for name, least in expected_of(fewest, fact.nodes).items():
                count = sum(node.serves(name) for node in fact.nodes.values())
                if count < least:
                    self.breaks(fact.at_ms, f"{count} of {least} {name} serve")


class RestStaysRest(Check):
    """Once all is done that the last change and the last fault left to do, no worker starts."""

    promise = "applying what holds restarts nothing"

    def __init__(self) -> None:
        super().__init__()
        self._rests = False

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Sample):
            self._rests = (fact.quiet_ms or 0) > REST_MS
        elif isinstance(fact, FaultBegan):
            self._rests = False
        elif isinstance(fact, WorkerStarted) and self._rests:
            what = f"{fact.node} starts {fact.key.workload} {fact.plan.model_version}"
            self.breaks(fact.at_ms, f"{what} though nothing happened for {REST_MS} ms")
