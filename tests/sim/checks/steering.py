"""What follows from what operators do: revocations, drains, changes at the site, rollouts."""

from mesh.site.local import service_config
from tests.sim.checks.check import Check
from tests.sim.checks.facts import (
    ChangeEnded,
    ChangeSubmitted,
    Fact,
    FaultBegan,
    FaultEnded,
    PlanSigned,
    Sample,
    WorkerStarted,
)

DRAINED_MS = 14_000
"""For a drain that is alone: fetch, load and soak elsewhere, and a second of handover."""
TOLD_MS = 6_000
"""Until a change at one node counts at all, with the dials after an outage."""
ENDED_MS = 20_000
"""Until all know that it has ended, after whatever went wrong."""


class DrainedIsEmpty(Check):
    """Judged for a drain that is alone, until something else happens."""

    promise = "a drained node runs nothing that fits elsewhere"

    def __init__(self) -> None:
        super().__init__()
        self._drain: FaultBegan | None = None

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            self._drain = fact if fact.kind == "drain" and fact.alone else None
        elif isinstance(fact, FaultEnded):
            self._drain = None
        elif isinstance(fact, Sample) and self._drain:
            node = fact.nodes.get(self._drain.subject)
            if node is None or not node.awake or fact.at_ms - self._drain.at_ms < DRAINED_MS:
                return
            left = sorted({service for service, _ in node.serving} - node.stays)
            if left:
                self.breaks(fact.at_ms, f"{self._drain.subject} still runs {left}")


class LocalChanges(Check):
    """A change that is alone counts at all nodes by whose own clocks its time is not over, while
    nothing but the way to the master, or what that one signs, fails. Once all is quiet, none counts
    that has been ended, or whose time is over."""

    promise = "a local change outlives an outage and ends when it is ended or its time is over"

    MADE = frozenset({"local", "expiring"})
    BESIDE = frozenset({"wan", "master", "master freeze", "bad state"})

    def __init__(self) -> None:
        super().__init__()
        self._counts: ChangeSubmitted | None = None
        self._alone = False
        self._until: dict[tuple[str, str], int] = {}  # of those that nobody has ended

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            if fact.kind in self.MADE:
                self._alone, self._counts = fact.alone, None
            elif fact.kind not in self.BESIDE:
                self._counts = None
        elif isinstance(fact, ChangeSubmitted):
            key = fact.workload, fact.field
            self._until[key] = max(fact.until_unix_ms, self._until.get(key, 0))
            self._counts = fact if self._alone else None
        elif isinstance(fact, ChangeEnded):
            self._until.pop((fact.workload, fact.field), None)
            self._counts = None
        elif isinstance(fact, PlanSigned):
            self._counts = None  # it may say something else of the service
        elif isinstance(fact, Sample):
            self._sampled(fact)

    def _sampled(self, sample: Sample) -> None:
        change = self._counts
        if change is not None and sample.at_ms - change.at_ms > TOLD_MS:
            made = (change.workload, change.field, change.value)
            for name, node in sample.nodes.items():
                lasts = node.unix_ms < change.until_unix_ms
                if node.awake and lasts and made not in node.changes:
                    what = f"{' '.join(made)}, made at {change.where}"
                    self.breaks(sample.at_ms, f"{name} does not go by {what}")
        if (sample.quiet_ms or 0) > ENDED_MS:
            for name, node in sample.nodes.items():
                over = {one for one in node.changes if node.unix_ms >= self._until.get(one[:2], 0)}
                left = sorted(one for one in over if one[2])
                if left:
                    self.breaks(sample.at_ms, f"{name} still goes by {left}")


class OneAtATime(Check):
    """Judged after a change of the plan that is alone, until something else happens."""

    promise = "one node at a time tries a new configuration"

    def __init__(self) -> None:
        super().__init__()
        self._judged = False
        self._known: set[str] = set()
        self._newest: set[str] = set()

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            self._judged = fact.kind in ("plan", "pause") and fact.alone
            self._known |= self._newest
        elif isinstance(fact, PlanSigned):
            self._newest = {service_config(service) for service in fact.services}
        elif isinstance(fact, WorkerStarted):
            self._started(fact)

    def _started(self, fact: WorkerStarted) -> None:
        if self._judged and fact.key.config not in self._known and fact.trying:
            what = f"{fact.node} begins {fact.key.workload} {fact.plan.model_version}"
            self.breaks(fact.at_ms, f"{what} while {sorted(fact.trying)} try it")
