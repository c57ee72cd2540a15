"""What nodes say is true and not too much; no core ever fails; a bad version does no harm."""

from tests.sim.checks.agreement import SETTLE_MS
from tests.sim.checks.check import Check
from tests.sim.checks.facts import Fact, FaultBegan, PlanSigned, Raised, Sample, WorkerStarted

CLAIM_MS = 3_000
"""A register follows the runtime's word within a decision, here with samples a second apart."""
MESSAGES_PER_S = 300
BYTES_PER_S = 300_000
"""Over ten seconds, of one node of ten while partitions come and go; 1,000 frames a second is what
a link takes (node/net/settings.py). At rest a node sends about ten."""
WINDOW_MS = 10_000
TRIES = 2


class NeverRaises(Check):
    """No event, in whatever order, makes a core fail."""

    promise = "no event makes a core fail"

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Raised):
            self.breaks(fact.at_ms, f"{fact.error} at {fact.node}")


class HonestRegister(Check):
    """A register says of no replica that it serves for longer than its runtime says so."""

    promise = "a register claims nothing that the runtime did not report"

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[tuple[str, object], int] = {}

    def saw(self, fact: Fact) -> None:
        if not isinstance(fact, Sample):
            return
        false = {
            (name, key)
            for name, node in fact.nodes.items()
            if node.awake and not node.lies
            for key in node.claims - node.reported
        }
        self._since = {one: self._since.get(one, fact.at_ms) for one in false}
        for (node, key), since in sorted(self._since.items(), key=repr):
            if fact.at_ms - since >= CLAIM_MS:
                self.breaks(fact.at_ms, f"{node} claims {key} since {since} ms")


class Bounded(Check):
    """Messages and bytes of each node, over any ten seconds."""

    promise = "what a node sends is bounded, whatever goes wrong"

    def __init__(self) -> None:
        super().__init__()
        self._window: Sample | None = None
        self.most = (0.0, 0.0)

    def saw(self, fact: Fact) -> None:
        if not isinstance(fact, Sample):
            return
        if self._window is None:
            self._window = fact
        if fact.at_ms - self._window.at_ms < WINDOW_MS:
            return
        seconds = (fact.at_ms - self._window.at_ms) / 1000
        for name, node in fact.nodes.items():
            before = self._window.nodes.get(name, node)  # who is new is looked at from now on
            messages = (node.sent - before.sent) / seconds
            size = (node.sent_bytes - before.sent_bytes) / seconds
            self.most = (max(self.most[0], messages), max(self.most[1], size))
            if messages > MESSAGES_PER_S or size > BYTES_PER_S:
                self.breaks(fact.at_ms, f"{name} sends {messages:.0f} messages, {size:.0f} B/s")
        self._window = fact


class BadVersions(Check):
    """Where nothing else is wrong, a version that fails its gate is tried on two nodes at most;
    and in no case does it serve once all is at rest."""

    promise = "a bad version is tried on two nodes at most and serves on none"

    def __init__(self) -> None:
        super().__init__()
        self._tried: dict[tuple[str, str], set[str]] = {}
        self._judged = False

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, FaultBegan):
            self._judged = fact.kind == "plan" and fact.alone
        elif isinstance(fact, PlanSigned):
            self._tried = {}
        elif isinstance(fact, WorkerStarted) and _is_bad(fact.plan.model_version):
            tried = self._tried.setdefault((fact.key.workload, fact.key.config), set())
            tried.add(fact.node)
            if self._judged and len(tried) > TRIES:
                what = f"{fact.key.workload} {fact.plan.model_version}"
                self.breaks(fact.at_ms, f"{what} is tried on {sorted(tried)}")
        elif isinstance(fact, Sample) and (fact.quiet_ms or 0) > SETTLE_MS:
            self._at_rest(fact)

    def _at_rest(self, sample: Sample) -> None:
        for name, node in sample.nodes.items():
            for workload, version in node.serving:
                if _is_bad(version):
                    self.breaks(sample.at_ms, f"{workload} {version} serves on {name}")


def _is_bad(version: str) -> bool:
    return version.endswith(("-golden", "-crash"))
