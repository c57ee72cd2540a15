"""Who asks for services that may sleep: requests that wait here, and what the others say.

A node whose runtime has a request for a service that nobody serves says so in its register, which
is announced at once. It says so until nothing waits and the keeper has counted at least one, so
that a request with little patience wakes the service as well, if not for itself.
"""

from collections.abc import Collection, Mapping, Set

from mesh.core.by_service import ByService
from mesh.core.runtime_view import RuntimeView
from mesh.registers.store import Registers

WANTED_MAX = 32
"""Services that a node says at once to be wanted: 2 KiB of its register. Those beyond wait until
one of these is awake."""


class Demand:
    """What is asked for at this node, and at the others."""

    def __init__(
        self, node: str, registers: Registers, by_service: ByService, runtime: RuntimeView
    ) -> None:
        self._node = node
        self._registers = registers
        self._by_service = by_service
        self._runtime = runtime
        self._wanted: set[str] = set()

    @property
    def wanted(self) -> list[str]:
        """What this node's register says."""
        return sorted(self._wanted)[:WANTED_MAX]

    @property
    def said(self) -> frozenset[str]:
        """What was wanted here at the last look."""
        return frozenset(self._wanted)

    def look(self, sleepers: Set[str], kept: Mapping[str, int]) -> None:
        """Takes what waits here, of the `sleepers`: the services that may sleep. `kept`: of those
        that were wanted here and still may, the count that is kept."""
        waits = self._runtime.waiting() & sleepers
        self._wanted = waits | {name for name in self._wanted if kept.get(name) == 0}

    def wanted_by(self, service: str, live: Collection[str]) -> str:
        """A live node at which a request waits for the service; "" if there is none."""
        if service in self._wanted:
            return self._node
        saying = self._by_service.wanted_at(service)
        return next((node for node in saying if node in live and node != self._node), "")

    def serving(self, service: str, live: Collection[str]) -> int:
        """How many replicas of it serve on live nodes."""
        here = {key.index for key in self._runtime.serving() if key.workload == service}
        said = self._by_service.serving(service)
        others = (said[node] for node in said if node in live and node != self._node)
        return len(here) + sum(others)

    def is_idle(self, service: str, live: Collection[str], linked: Collection[str]) -> bool:
        """Whether it serves, and every live node that serves it says that nobody asks. What does
        not serve is not idle: it has an alarm that is to stay. Who has not spoken is not either,
        nor who is not `linked` now: loads go over links alone, so its last one may be old."""
        nodes = [node for node in self._by_service.serving(service) if node in live]
        near = {self._node, *linked}
        return bool(nodes) and not any(
            node not in near or self._is_asked(service, node) for node in nodes
        )

    def _is_asked(self, service: str, node: str) -> bool:
        load = self._registers.load(node)
        said = [one for one in load.services if one.workload == service] if load else []
        return not said or any(one.requests_per_second for one in said)
