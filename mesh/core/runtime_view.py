"""What runs on this node, as the runtime says."""

from dataclasses import dataclass, field

from mesh.site.local import ReplicaKey
from protos.documents_pb2 import Phase, ServiceLoad
from protos.runtime_pb2 import ReplicaStatus, RuntimeState

CRASHES_ALARMED = 3
"""Restarts in a row, without having served in between, that a person should know of."""
DELAY_STEP_MS = 5
"""Queue delays are published in steps, so that noise is no news."""


@dataclass(frozen=True)
class RuntimeChange:
    """A change worth a record in the journal."""

    event: str
    subject: str
    reason: str
    fields: dict[str, str] = field(default_factory=dict)


class RuntimeView:
    """The runtime's last word. `gone` until it has said something, and after it went away; `heard`
    once it is known whether there is one."""

    def __init__(self) -> None:
        self.state = RuntimeState()
        self.gone = True
        self.heard = False
        self.told_loads: list[ServiceLoad] = []
        self._failures: dict[ReplicaKey, int] = {}

    def update(self, state: RuntimeState | None) -> list[RuntimeChange]:
        """Takes the runtime's state; returns what changed of replicas and pipelines."""
        self.heard = True
        if state is None:
            was, self.gone = self.gone, True
            return [] if was else [RuntimeChange("runtime.gone", "runtime", "it is not heard")]
        before = {key_of(status): status for status in self.state.replicas}
        changes = [] if not self.gone else [RuntimeChange("runtime.present", "runtime", "")]
        for status in state.replicas:
            changes += self._replica(before.pop(key_of(status), None), status)
        for key in sorted(before):
            self._failures.pop(key, None)
            changes.append(RuntimeChange("workload.stopped", key.workload, "", _fields(key)))
        changes += self._pipelines(state)
        self.state, self.gone = state, False
        return changes

    def keys(self) -> list[ReplicaKey]:
        """All replicas that the runtime has."""
        return sorted(key_of(status) for status in self.state.replicas)

    def serving(self) -> list[ReplicaKey]:
        """Those that serve."""
        if self.gone:
            return []
        return sorted(key_of(s) for s in self.state.replicas if s.state.phase == Phase.SERVING)

    def is_empty(self) -> bool:
        """Whether it is known that nothing runs here."""
        return not (self.gone or self.state.replicas or self.state.pipelines)

    def refused(self) -> dict[str, str]:
        """Workloads whose version this node refused, and why."""
        return {
            s.state.workload: s.state.reason
            for s in self.state.replicas
            if s.state.phase == Phase.REFUSED
        }

    def crashing(self) -> dict[str, str]:
        """Workloads that fail again and again here, and how."""
        reasons = {key_of(s): s.state.reason for s in self.state.replicas}
        return {
            key.workload: f"failed {count} times in a row, and is tried on: "
            f"{reasons.get(key, '')}; `meshctl events` says more"
            for key, count in self._failures.items()
            if count >= CRASHES_ALARMED
        }

    def waiting(self) -> set[str]:
        """Services that requests wait for here, because no node serves them."""
        return set() if self.gone else {load.workload for load in self.state.loads if load.waiting}

    def loads(self) -> list[ServiceLoad]:
        """The load of each service that runs here, quantised. Any request at all is told."""
        loads = []
        here = {status.state.workload for status in self.state.replicas}
        for load in self.state.loads:
            if load.workload not in here:
                continue
            quantised = ServiceLoad()
            quantised.CopyFrom(load)
            quantised.queue_delay_ms = load.queue_delay_ms // DELAY_STEP_MS * DELAY_STEP_MS
            quantised.in_flight = quantised.waiting = 0
            asked = bool(load.requests_per_second or load.in_flight)
            quantised.requests_per_second = load.requests_per_second // 10 * 10 or int(asked)
            loads.append(quantised)
        return loads

    def _replica(self, before: ReplicaStatus | None, now: ReplicaStatus) -> list[RuntimeChange]:
        key, phase = key_of(now), now.state.phase
        same_process = before is not None and before.pid == now.pid
        if before is not None and before.state.phase == phase and same_process:
            return []
        if phase == Phase.SERVING:
            self._failures.pop(key, None)
        elif phase == Phase.FAILED:
            self._failures[key] = self._failures.get(key, 0) + 1
        event = "workload." + Phase.Name(phase).lower()
        fields = {**_fields(key), "pid": str(now.pid), "restarts": str(now.restarts)}
        return [RuntimeChange(event, key.workload, now.state.reason, fields)]

    def _pipelines(self, state: RuntimeState) -> list[RuntimeChange]:
        before = {p.state.workload: (p.state.phase, p.pid) for p in self.state.pipelines}
        changes = []
        for status in state.pipelines:
            name, phase = status.state.workload, status.state.phase
            if before.pop(name, None) != (phase, status.pid):
                event = "pipeline." + Phase.Name(phase).lower()
                fields = {"pid": str(status.pid)}
                changes.append(RuntimeChange(event, name, status.state.reason, fields))
        return changes + [RuntimeChange("pipeline.stopped", name, "") for name in sorted(before)]


def key_of(status: ReplicaStatus) -> ReplicaKey:
    """The replica that a status is about."""
    return ReplicaKey(status.state.workload, status.state.index, status.state.config)


def _fields(key: ReplicaKey) -> dict[str, str]:
    return {"index": str(key.index), "config": key.config}
