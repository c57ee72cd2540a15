"""What registers say of each service: read out of each register once, and put together once for
all services when one of them changes.

A decision asks for every service of the plan, and in a large site each would look through all that
all nodes say.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.registers.store import Registers
from mesh.site.configs import service_config
from protos.documents_pb2 import Phase, StableRegister

NOBODY: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class _Said:
    """What one register says, by service."""

    counts: Mapping[str, int]
    serving: Mapping[str, int]
    wanted: frozenset[str]
    tried: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Together:
    """What all say, by service and node."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    serving: dict[str, dict[str, int]] = field(default_factory=dict)
    wanted: dict[str, list[str]] = field(default_factory=dict)
    tried: set[tuple[str, str]] = field(default_factory=set)

    def add(self, node: str, said: _Said) -> None:
        """Adds what a node says."""
        for name, count in said.counts.items():
            self.counts.setdefault(name, {})[node] = count
        for name, replicas in said.serving.items():
            self.serving.setdefault(name, {})[node] = replicas
        for name in said.wanted:
            self.wanted.setdefault(name, []).append(node)
        self.tried.update(said.tried)


class ByService:
    """The registers of a site, by service. Whether a node lives is for who asks."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._generation = -1
        self._said: dict[bytes, _Said] = {}  # by the register's digest
        self._together = _Together()

    def counts(self, service: str) -> Mapping[str, int]:
        """By node, the count that it says it keeps."""
        return self._now().counts.get(service, NOBODY)

    def serving(self, service: str) -> Mapping[str, int]:
        """By node, how many replicas serve there."""
        return self._now().serving.get(service, NOBODY)

    def wanted_at(self, service: str) -> list[str]:
        """The nodes at which a request waits for it."""
        return self._now().wanted.get(service, [])

    def is_tried(self, service: str, config: str) -> bool:
        """Whether a node has run that configuration, well or badly."""
        return (service, config) in self._now().tried

    def _now(self) -> _Together:
        if self._generation != self._registers.generation:
            self._generation, self._together = self._registers.generation, _Together()
            records = self._registers.records()
            self._said = {r.digest: self._said.get(r.digest) or _read(r.body) for r in records}
            for record in records:
                self._together.add(record.body.node, self._said[record.digest])
        return self._together


def _read(body: StableRegister) -> _Said:
    serving = {(r.workload, r.index) for r in body.replicas if r.phase == Phase.SERVING}
    refused = {(verdict.workload, verdict.config) for verdict in body.verdicts}
    known = (*body.last_good, *body.inherited_good)
    good = {(service.name, service_config(service)) for service in known}
    return _Said(
        counts={count.workload: count.replicas for count in body.counts},
        serving=Counter(workload for workload, _ in serving),
        wanted=frozenset(body.wanted),
        tried=frozenset(refused | good),
    )
