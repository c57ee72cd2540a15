"""Liveness: once nothing is wrong any more, all nodes agree, soon, and nothing is left over."""

from tests.sim import identities
from tests.sim.checks.check import Check
from tests.sim.checks.facts import Fact, Sample
from tests.sim.checks.room import expected_of, minima

AGREE_MS = 10_000
WAN_RETRY_MAX_MS = 32_000
"""The longest wait between two dials of a master (`retry_max`), and the time that one takes."""
SETTLE_MS = 60_000
"""For a rollout that was held up to go through the site, node by node, with its soaks."""
LASTING = frozenset({"Refused", "RefusedArtifact", "Pending", "Clock", "CrashLoop"})
"""Alarms whose condition is in the plan itself, in a clock that nobody set right, or in a
quarantine of half an hour, and lasts."""


def differs(sample: Sample) -> str:
    """In what the nodes differ; "" if they agree."""
    nodes = sample.nodes
    asleep = sorted(name for name, node in nodes.items() if not node.awake)
    if asleep:
        return f"{asleep} are not awake"
    for what in ("applied", "trust", "live", "placement"):
        if len({getattr(node, what) for node in nodes.values()}) > 1:
            return f"{what}: " + _by_value(what, sample)
    return ""


def is_behind(sample: Sample) -> bool:
    """Whether somebody does not go by the newest state."""
    return {node.in_force[1] for node in sample.nodes.values()} != {sample.counter}


def dials(sample: Sample) -> bool:
    """Whether nobody is linked with the master. Where few try, none may for half a minute."""
    linked = any(identities.MASTER in node.links for node in sample.nodes.values())
    return not linked and (sample.quiet_ms or 0) <= AGREE_MS + WAN_RETRY_MAX_MS


def _by_value(what: str, sample: Sample) -> str:
    said: dict[object, list[str]] = {}
    for name, node in sample.nodes.items():
        said.setdefault(getattr(node, what), []).append(name)
    return "; ".join(f"{who}: {value}" for value, who in said.items())


class Agreement(Check):
    """Same state, same members, same placement on every node, and the newest state once one of them
    reaches the master; what changes by itself, as a count does, takes a moment to be told."""

    promise = "every node agrees within 10 s of the last heal"

    def __init__(self) -> None:
        super().__init__()
        self._agreed = self._differed = False

    def saw(self, fact: Fact) -> None:
        if not isinstance(fact, Sample):
            return
        if fact.quiet_ms is None:
            self._agreed = self._differed = False
            return
        difference = differs(fact)
        if not difference and is_behind(fact) and not dials(fact):
            difference = f"state {fact.counter} is not in force"
        if difference and self._differed and fact.quiet_ms > AGREE_MS:
            when = "again" if self._agreed else "still"
            self.breaks(fact.at_ms, f"{fact.quiet_ms} ms after it, {when} not: {difference}")
        self._agreed |= not difference
        self._differed = bool(difference)


class EqualRegisters(Check):
    """All hold the same registers, at some moment of the time in which nothing happens."""

    promise = "peers that can exchange hold equal registers in the end"

    def __init__(self) -> None:
        super().__init__()
        self._equal_ms = 0

    def saw(self, fact: Fact) -> None:
        if not isinstance(fact, Sample):
            return
        held = [tuple(sorted(node.registers.items())) for node in fact.nodes.values()]
        if fact.quiet_ms is None or len(set(held)) == 1:
            self._equal_ms = fact.at_ms
        elif fact.at_ms - self._equal_ms > AGREE_MS:
            self._equal_ms = fact.at_ms
            newest = {n: max(dict(h).get(n, (0, 0)) for h in held) for n in fact.nodes}
            behind = {
                name: [n for n, order in newest.items() if node.registers.get(n, (0, 0)) != order]
                for name, node in fact.nodes.items()
            }
            self.breaks(fact.at_ms, f"who holds older ones: {[b for b in behind.items() if b[1]]}")


class AlarmsCleared(Check):
    """What was an alarm is none once its cause is gone."""

    promise = "alarms are cleared when their condition is over"

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Sample) and (fact.quiet_ms or 0) > SETTLE_MS:
            for name, node in fact.nodes.items():
                left = sorted((k, s) for k, s in node.alarms if k not in LASTING)
                if left:
                    self.breaks(fact.at_ms, f"{name} still has {left}")


class ServesInTheEnd(Check):
    """Every service has its minimum, as far as there is room, in the version of the plan unless the
    site refuses that, and every pipeline runs once."""

    promise = "a site at rest serves its plan"

    def saw(self, fact: Fact) -> None:
        if isinstance(fact, Sample) and (fact.quiet_ms or 0) > SETTLE_MS:
            self._services(fact)
            self._pipelines(fact)

    def _services(self, sample: Sample) -> None:
        least = expected_of(minima(sample.plan), sample.nodes)
        for service in sample.plan:
            serving: dict[str, int] = {}
            for node in sample.nodes.values():
                for (name, version), count in node.serving.items():
                    if name == service.name:
                        serving[version] = serving.get(version, 0) + count
            good = "-" not in service.model_version
            counted = serving.get(service.model_version, 0) if good else sum(serving.values())
            if counted < least[service.name]:
                want = f"{least[service.name]} of {service.model_version}"
                self.breaks(sample.at_ms, f"{service.name} wants {want}, has {serving}")

    def _pipelines(self, sample: Sample) -> None:
        running = sorted(name for node in sample.nodes.values() for name in node.pipelines)
        if running != sorted(sample.pipelines):
            self.breaks(sample.at_ms, f"pipelines {running} run")
