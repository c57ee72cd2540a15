"""Exclusive pipelines with `onSplit: stop`: of each, one runs at most."""

from tests.sim.checks.check import Check
from tests.sim.checks.facts import Fact, PipelineStarted


class NeverTwice(Check):
    """None starts while it runs elsewhere: an overlap begins with a start."""

    promise = "an exclusive workload with onSplit: stop never runs twice"

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, PipelineStarted) and fact.leased and fact.beside:
            others = ", ".join(fact.beside)
            self.breaks(fact.at_ms, f"{fact.workload} starts on {fact.node}, and runs on {others}")
