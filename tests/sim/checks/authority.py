"""Safety of what the authority says: two signatures, and never back."""

from mesh.heads.state import State
from mesh.site.changes import PIN
from mesh.site.local import service_config
from protos.documents_pb2 import ServicePlan
from tests.sim.checks.check import Check
from tests.sim.checks.facts import (
    ChangeSubmitted,
    CoreStarted,
    DocumentSaved,
    Fact,
    PlanSigned,
    Sample,
    WorkerStarted,
)


class TwoSignatures(Check):
    """A worker starts only what a plan of the authority asks for, in the version that the plan
    names or that an operator pinned at the site, and what a release key signed."""

    promise = "nothing runs that two signatures do not allow"

    def __init__(self) -> None:
        super().__init__()
        self._planned: dict[tuple[str, str], ServicePlan] = {}  # by its name and configuration
        self._pinned: set[tuple[str, str, bytes]] = set()
        self._released: set[bytes] = set()

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, PlanSigned):
            self._planned |= {(s.name, service_config(s)): s for s in fact.services}
            self._released |= fact.released
        elif isinstance(fact, ChangeSubmitted) and fact.field == PIN:
            self._pinned.add((fact.workload, fact.value, fact.artifact))
        elif isinstance(fact, WorkerStarted):
            self._started(fact)

    def _started(self, fact: WorkerStarted) -> None:
        what = f"{fact.node} starts {fact.key.workload} {fact.plan.model_version}"
        if not self._is_asked_for(fact.key.workload, fact.plan):
            self.breaks(fact.at_ms, f"{what}, which no plan ever asked for")
        if service_config(fact.plan) != fact.key.config:
            self.breaks(fact.at_ms, f"{what} under the name of another configuration")
        if fact.plan.artifact not in self._released:
            self.breaks(fact.at_ms, f"{what}, which no release key signed")
        if not fact.whole:
            self.breaks(fact.at_ms, f"{what}, whose model is not whole on its disk")

    def _is_asked_for(self, workload: str, plan: ServicePlan) -> bool:
        config = service_config(plan)
        if (workload, config) in self._planned:
            return True
        if (workload, plan.model_version, plan.artifact) not in self._pinned:
            return False
        pinned = ServicePlan()
        for (name, _), planned in self._planned.items():
            pinned.CopyFrom(planned)
            pinned.model_version, pinned.artifact = plan.model_version, plan.artifact
            if name == workload and service_config(pinned) == config:
                return True
        return False


class NeverBack(Check):
    """Neither what is on disk, nor what a node starts from, nor what it goes by is ever older."""

    promise = "no node goes back to an older state or trust"

    def __init__(self) -> None:
        super().__init__()
        self._disk: dict[tuple[str, str], tuple[int, int]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        self._applied: dict[str, tuple[int, int]] = {}

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, DocumentSaved) and fact.name in ("state-seen", "state-applied"):
            head = State(fact.data, None).floor
            before = self._disk.get((fact.node, fact.name), (0, 0))
            if head < before:
                self.breaks(fact.at_ms, f"{fact.node} writes {fact.name} {head} over {before}")
            self._disk[fact.node, fact.name] = max(head, before)
            self._known[fact.node] = max(head, self._known.get(fact.node, (0, 0)))
        elif isinstance(fact, CoreStarted):
            known = self._known.get(fact.node, (0, 0))
            if fact.state < known:
                self.breaks(fact.at_ms, f"{fact.node} starts from {fact.state}, knew {known}")
            self._applied.pop(fact.node, None)
        elif isinstance(fact, Sample):
            self._sampled(fact)

    def _sampled(self, sample: Sample) -> None:
        for name, node in sample.nodes.items():
            if node.awake:
                before = self._applied.get(name, (0, 0))
                if node.applied < before:
                    self.breaks(sample.at_ms, f"{name} goes by {node.applied} after {before}")
                self._applied[name] = node.applied
