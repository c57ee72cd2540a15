"""How far each node is with the rollout of each service, as its register says."""

from collections.abc import Iterable, Sequence

from mesh.registers.store import Record
from mesh.site.local import service_config
from mesh.site.rollout import Stage
from protos.documents_pb2 import Phase, ServicePlan, StableRegister


class Stages:
    """Works out each register once: decisions are more frequent than registers that change."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, str, str, bool], Stage] = {}

    def of(
        self, services: Iterable[ServicePlan], records: Sequence[Record]
    ) -> dict[str, dict[str, Stage]]:
        """By service and node. What is not asked for again is forgotten."""
        known = {}
        found: dict[str, dict[str, Stage]] = {}
        for service in services:
            stages = found[service.name] = {}
            wanted = (service.name, service_config(service), service.soak_ms > 0)
            for record in records:
                key = (record.digest, *wanted)
                stage = self._known.get(key) or _stage(record.body, *wanted)
                known[key] = stages[record.body.node] = stage
        self._known = known
        return found


def stage_of(body: StableRegister, service: ServicePlan) -> Stage:
    """How far a node is with a service's configuration, as its register says."""
    return _stage(body, service.name, service_config(service), service.soak_ms > 0)


def _stage(body: StableRegister, name: str, config: str, soaks: bool) -> Stage:
    wanted = (name, config)
    if any((v.workload, v.config) == wanted for v in body.verdicts):
        return Stage.REFUSED
    states = [
        r for r in body.replicas if (r.workload, r.config) == wanted and r.phase != Phase.FETCHING
    ]
    if not states:
        return Stage.OLD
    if all(r.phase == Phase.SERVING and (r.soaked or not soaks) for r in states):
        return Stage.PASSED
    return Stage.TRYING
