"""States that an authority signed by mistake: nodes refuse them and go on as before."""

from mesh.core.in_force import FIRST, IN_FORCE
from protos.documents_pb2 import KeptInForce
from tests.sim.checks.check import Check
from tests.sim.checks.facts import (
    BadStateSigned,
    CoreStarted,
    DocumentSaved,
    Fact,
    FaultBegan,
    FaultEnded,
    PipelineStarted,
    ReplicaStopped,
    Sample,
    WorkerStarted,
)

AT_REST_MS = 15_000
"""Without a start or a stop before it: what a load or a rollout left to do is done by then."""


class RefusedStates(Check):
    """Judged always, but that nothing moves for a bad state that is alone and comes to a site at
    rest, until something else happens."""

    promise = "a state that nodes refuse is never in force, also after a start, and moves nothing"

    def __init__(self) -> None:
        super().__init__()
        self._bad: set[int] = set()
        self._saved: dict[str, tuple[int, int]] = {}
        self._moved_ms = 0
        self._judged = False
        self._runs: dict[str, object] = {}
        self._before: dict[str, object] = {}

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, BadStateSigned):
            self._bad.add(fact.counter)
        elif isinstance(fact, FaultBegan):
            rests = fact.at_ms - self._moved_ms >= AT_REST_MS
            self._judged = fact.kind == "bad state" and fact.alone and rests
            self._before = self._runs
        elif isinstance(fact, FaultEnded):
            self._judged = False
        elif isinstance(fact, DocumentSaved | CoreStarted):
            self._over_starts(fact)
        elif isinstance(fact, WorkerStarted | ReplicaStopped | PipelineStarted):
            self._moved(fact)
        elif isinstance(fact, Sample):
            self._sampled(fact)

    def _over_starts(self, fact: DocumentSaved | CoreStarted) -> None:
        if isinstance(fact, CoreStarted):
            kept = self._saved.get(fact.node, (0, 0))
            if fact.in_force < kept:
                self.breaks(fact.at_ms, f"{fact.node} starts by {fact.in_force}, went by {kept}")
        elif fact.name == IN_FORCE:
            kept = KeptInForce.FromString(fact.data)
            self._saved[fact.node] = (kept.trust_generation or FIRST, kept.counter)

    def _moved(self, fact: WorkerStarted | ReplicaStopped | PipelineStarted) -> None:
        self._moved_ms = fact.at_ms
        if self._judged and fact.node in self._before:
            self.breaks(fact.at_ms, f"{fact.node}: {type(fact).__name__}")

    def _sampled(self, sample: Sample) -> None:
        self._runs = {
            name: (dict(node.pids), node.pipelines) for name, node in sample.nodes.items()
        }
        for name, node in sample.nodes.items():
            if node.in_force[1] in self._bad:
                self.breaks(sample.at_ms, f"{name} goes by state {node.in_force[1]}")
            before, now = self._before.get(name), self._runs[name]
            if self._judged and before not in (None, now):
                self.breaks(sample.at_ms, f"{name} ran {before}, and now {now}")
