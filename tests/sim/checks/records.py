"""Safety and liveness of record journals."""

from tests.sim.checks.check import Check
from tests.sim.checks.facts import Acknowledged, Fact, RecordsAtEnd


class DurableBeforeAcknowledged(Check):
    """A master acknowledges only what is on its disk."""

    promise = "records are durable at the master before it acknowledges them"

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Acknowledged) and fact.sequence > fact.durable:
            self.breaks(
                fact.at_ms, f"{fact.log} up to {fact.sequence}, of which {fact.durable} are on disk"
            )


class RecordsOnceInOrder(Check):
    """At the end the master has what each node wrote: all of it, once, in order, unchanged."""

    promise = "no record is lost, doubled or out of order at the master"

    def saw(self, fact: Fact) -> None:
        if not isinstance(fact, RecordsAtEnd):
            return
        expected = 1
        for first, last, _ in fact.archived:
            if first != expected:
                self.breaks(fact.at_ms, f"{fact.log}: {first} stands where {expected} should")
            expected = last + 1
        length = len(fact.archived)
        if fact.written[:length] != fact.archived:
            self.breaks(fact.at_ms, f"{fact.log}: the master has something else than was written")
        elif len(fact.written) > length:
            lost = [first for first, _, _ in fact.written[length:]]
            self.breaks(fact.at_ms, f"{fact.log}: {lost} and later are not at the master")
