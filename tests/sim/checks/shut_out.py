"""Machines whose keys count no more: nothing is left of them at the site, soon."""

from tests.sim.checks.check import Check
from tests.sim.checks.facts import Fact, NodeSample, Revoked, Sample

SHUT_OUT_MS = 5_000


class RevokedShutOut(Check):
    """Judged at each node by what it knows, or what one knows that it has heard all the time: a
    split keeps what it has not heard of. A revocation in a state that nodes refuse is none."""

    promise = "who is revoked is shut out 5 s after a node, or one that it hears, knows of it"

    def __init__(self) -> None:
        super().__init__()
        self._revoked: dict[str, int] = {}
        self._gone: set[str] = set()
        self._since_ms: dict[tuple[str, str], int] = {}

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Revoked):
            self._revoked[fact.node] = fact.counter
        elif isinstance(fact, Sample):
            self._gone |= set(self._revoked).union(*(node.shuns for node in fact.nodes.values()))
            for machine in sorted(self._gone):
                self._judge(fact, machine)

    def _judge(self, sample: Sample, machine: str) -> None:
        nodes = sample.nodes
        knowing = {name for name, node in nodes.items() if self._knows(node, machine)}
        for name, node in nodes.items():
            told = name in knowing or bool(knowing & node.hears)
            key = (name, machine)
            if not node.able or not told:
                self._since_ms.pop(key, None)
                continue
            since_ms = self._since_ms.setdefault(key, sample.at_ms)
            takes_part = machine not in node.shuns or machine in node.links | node.counts
            if takes_part and sample.at_ms - since_ms > SHUT_OUT_MS:
                self.breaks(sample.at_ms, f"{name} has not shut out {machine}")

    def _knows(self, node: NodeSample, machine: str) -> bool:
        counter = self._revoked.get(machine)
        by_state = counter is not None and node.in_force[1] >= counter
        return node.able and (by_state or machine in node.shuns)
