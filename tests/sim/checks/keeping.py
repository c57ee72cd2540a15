"""What must stay on the disks of a site, whoever lets go of what."""

from tests.sim.checks.check import Check
from tests.sim.checks.facts import Collected, Fact, PlanSigned

HOLDERS = 2


class TwoHolders(Check):
    """Judged by the plan that the node goes by, and by what is on the others' disks then."""

    promise = "no version that the plan needs, nor a last good one, is lost from its two holders"

    def __init__(self) -> None:
        super().__init__()
        self._needed: dict[int, frozenset[bytes]] = {}

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, PlanSigned):
            self._needed[fact.counter] = frozenset(s.artifact for s in fact.services)
        elif isinstance(fact, Collected):
            self._collected(fact)

    def _collected(self, fact: Collected) -> None:
        what = f"{fact.node} lets go of {fact.artifact.hex()[:8]}"
        if fact.node in fact.good:
            self.breaks(fact.at_ms, f"{what}, its own last good version")
        needed = fact.artifact in self._needed.get(fact.counter, ())
        if (needed or fact.good) and len(fact.holders) < HOLDERS:
            why = "the plan needs it" if needed else f"it is last good on {sorted(fact.good)}"
            self.breaks(fact.at_ms, f"{what}: {why}, and {sorted(fact.holders)} hold it")
