"""Safety of what the authority says: two signatures, and never back."""

from mesh.heads.state import State
from mesh.site.local import service_config
from tests.sim.checks.check import Check
from tests.sim.checks.facts import (
    CoreStarted,
    DocumentSaved,
    Fact,
    PlanSigned,
    Sample,
    WorkerStarted,
)


class TwoSignatures(Check):
    """A worker starts only what a plan of the authority asks for and a release key signed."""

    promise = "nothing runs that two signatures do not allow"

    def __init__(self) -> None:
        super().__init__()
        self._configs: set[tuple[str, str]] = set()
        self._released: set[bytes] = set()

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, PlanSigned):
            self._configs |= {(s.name, service_config(s)) for s in fact.services}
            self._released |= fact.released
        elif isinstance(fact, WorkerStarted):
            self._started(fact)

    def _started(self, fact: WorkerStarted) -> None:
        what = f"{fact.node} starts {fact.key.workload} {fact.plan.model_version}"
        if (fact.key.workload, service_config(fact.plan)) not in self._configs:
            self.breaks(fact.at_ms, f"{what}, which no plan ever asked for")
        if service_config(fact.plan) != fact.key.config:
            self.breaks(fact.at_ms, f"{what} under the name of another configuration")
        if fact.plan.artifact not in self._released:
            self.breaks(fact.at_ms, f"{what}, which no release key signed")
        if not fact.whole:
            self.breaks(fact.at_ms, f"{what}, whose model is not whole on its disk")


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
