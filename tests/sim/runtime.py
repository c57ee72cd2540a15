"""The runtime of a simulated node: workers that load, serve, fail their gate or die."""

from collections.abc import Callable
from typing import Any

from mesh.core.messages import Run, RuntimeReported
from mesh.peer import Contact
from mesh.site.leases import needs_lease
from mesh.site.local import pipeline_config
from protos.documents_pb2 import Phase, PipelinePlan, PipelineState, ReplicaState, ServiceLoad
from protos.runtime_pb2 import PipelineStatus, ReplicaStatus, RuntimeState
from tests.sim.disk import Disk
from tests.sim.world import Host, World

LOAD_MS = 700
"""How long a simulated worker takes until it serves."""
LIVES_MS = 300
"""How long a worker lives where its service is broken."""
PAUSE_MS = 2_000
"""Between its end and the next one's start: the runtime's back-off."""


class SimRuntime(Host):
    """What a node runs. `starts`: when a worker was started, and of which service."""

    def __init__(self, world: World, contact: Contact, disk: Disk) -> None:
        super().__init__(world, contact, disk)
        self.runs: dict[Any, ReplicaStatus] = {}
        self.wanted_pipelines: dict[str, PipelinePlan] = {}
        self.deadlines: dict[str, int] = {}
        self.wanted: set[Any] = set()
        self.loads: list[ServiceLoad] = []
        self.requests: dict[str, tuple[int, int]] = {}
        self.starts: list[tuple[int, str]] = []
        self.broken: set[str] = set()  # versions whose workers die on this machine
        self.tried_versions: set[str] = set()
        self._pids = 100

    def do_Run(self, i: Any) -> None:  # noqa: N802
        """As the runtime does: one replica a place; the old one of a place ends when the new one
        serves, or at once if it does not serve itself."""
        wanted = {(key.workload, key.index): (key, plan) for key, plan in i.replicas}
        assert len(wanted) == len(i.replicas), "a replica is named twice"
        self.wanted = {key for key, _ in wanted.values()}
        for key in [key for key in self.runs if (key.workload, key.index) not in wanted]:
            del self.runs[key]
        for key, plan in wanted.values():
            if key not in self.runs:
                self._start_replica(key, plan)
        self._drop_superseded()
        self._run_pipelines(i)
        self._report()

    def do_Renew(self, i: Any) -> None:  # noqa: N802
        """The runtime passes it on; what had ended at its deadline starts again."""
        self.deadlines.update(i.deadlines)
        self._start_pipelines()
        for name, _ in i.deadlines:
            self._end_at_deadline(name)
        self._report()

    def _run_pipelines(self, run: Run) -> None:
        self.wanted_pipelines = {plan.name: plan for plan in run.pipelines}
        for name in sorted(self.pipelines):
            plan = self.wanted_pipelines.get(name)
            if plan is None or pipeline_config(plan) != self.pipelines[name].state.config:
                del self.pipelines[name]
        self._start_pipelines()

    def _start_pipelines(self) -> None:
        for name in sorted(self.wanted_pipelines.keys() - self.pipelines.keys()):
            plan = self.wanted_pipelines[name]
            if needs_lease(plan) and self.clock_ms() >= self.deadlines.get(name, 0):
                continue
            self._pids += 1
            config = pipeline_config(plan)
            state = PipelineState(workload=name, config=config, phase=Phase.SERVING)
            self.pipelines[name] = PipelineStatus(state=state, pid=self._pids)
            self.pipeline_started(name, needs_lease(plan))

    def pipeline_started(self, name: str, leased: bool) -> None:
        """A pipeline starts here; `leased`: it must run nowhere else."""
        hosts = sorted(self.world.hosts.items())
        beside = [n for n, host in hosts if name in host.pipelines and host is not self]
        self.world.pipeline_starts.append((self.world.now_ms, name, self.name, beside))

    def _end_at_deadline(self, name: str) -> None:
        """The process of a pipeline ends itself, whatever its agent and its runtime do."""
        left_ms = self.deadlines.get(name, 0) - self.clock_ms()

        def look() -> None:
            if name not in self.pipelines:
                return
            if self.clock_ms() < self.deadlines.get(name, 0):
                self._end_at_deadline(name)
                return
            del self.pipelines[name]
            self._report()

        self.world.after(max(1, left_ms), look)

    def _drop_superseded(self) -> None:
        for key in list(self.runs):
            if key in self.wanted:
                continue
            new = [k for k in self.wanted if (k.workload, k.index) == (key.workload, key.index)]
            serves = self.runs[key].state.phase == Phase.SERVING
            if not serves or any(self._replaces(k) for k in new):
                del self.runs[key]

    def _replaces(self, key: Any) -> bool:
        """Whether a replica has passed its gate, so that the one before it may end."""
        status = self.runs.get(key)
        return status is not None and status.state.phase == Phase.SERVING and status.state.soaked

    def _start_replica(self, key: Any, plan: Any) -> None:
        assert self.disk.whole(plan.artifact), "a replica is started whose model is not here"
        self._pids += 1
        pid = self._pids
        self.starts.append((self.world.now_ms, key.workload))
        self.tried_versions.add(plan.model_version)
        state = ReplicaState(
            workload=key.workload,
            index=key.index,
            config=key.config,
            phase=Phase.LOADING,
            model=plan.model,
            model_version=plan.model_version,
        )
        self.runs[key] = ReplicaStatus(state=state, pid=pid)

        fault = self.world.faulty.get(plan.model_version, "")
        beside = any(
            k.workload == key.workload and s.state.phase == Phase.SERVING
            for k, s in self.runs.items()
            if k != key
        )

        def become(phase: Phase, reason: str = "", soaked: bool = False) -> None:
            if key in self.runs and self.runs[key].pid == pid:
                state = self.runs[key].state
                state.phase, state.reason, state.soaked = phase, reason, soaked
                self._drop_superseded()
                self._report()

        if fault == "golden":
            self.world.after(LOAD_MS, lambda: become(Phase.REFUSED, "golden check: wrong"))
            return
        if plan.model_version in self.broken:
            self._live_and_die(key, pid)
            return
        self.world.after(LOAD_MS, lambda: become(Phase.SERVING))
        if fault == "crash" and beside:
            died = LOAD_MS + plan.soak_ms // 2
            self.world.after(died, lambda: become(Phase.REFUSED, "in its soak the worker ended"))
            return
        self.world.after(LOAD_MS + plan.soak_ms, lambda: become(Phase.SERVING, soaked=True))

    def _live_and_die(self, key: Any, pid: int) -> None:
        """A worker that serves for a moment and dies, and so do those that follow it."""

        def become(phase: Phase, reason: str, then_ms: int, then: Callable[[], None]) -> None:
            status = self.runs.get(key)
            if status is not None and status.pid == pid:
                status.state.phase, status.state.reason = phase, reason
                self._report()
                self.world.after(then_ms, then)

        def die() -> None:
            become(Phase.FAILED, "the worker ended: signal 9", PAUSE_MS, again)

        def again() -> None:
            if key in self.runs and self.runs[key].pid == pid:
                self.runs[key].restarts += 1
                become(Phase.LOADING, "", LOAD_MS, live)

        def live() -> None:
            become(Phase.SERVING, "", LIVES_MS, die)

        self.world.after(LOAD_MS, live)

    def lose_runtime(self, after_ms: int | None = LOAD_MS) -> None:
        """The runtime dies with all that it runs; the one that the agent starts answers `after_ms`
        later, or never."""
        self.runs, self.pipelines, self.deadlines = {}, {}, {}
        self.feed(RuntimeReported(None))
        if after_ms is not None:
            self.world.after(after_ms, self.find_runtime)

    def find_runtime(self) -> None:
        """The runtime answers."""
        self.feed(RuntimeReported(self._state()))

    def kill_worker(self, workload: str) -> None:
        """SIGKILL to the workers of a service; the runtime starts them again."""
        for key, status in self.runs.items():
            if key.workload == workload:
                status.state.phase = Phase.FAILED

        def again() -> None:
            for status in self.runs.values():
                if status.state.phase == Phase.FAILED:
                    self._pids += 1
                    status.restarts += 1
                    status.pid, status.state.phase = self._pids, Phase.SERVING
            self._report()

        self._report()
        self.world.after(LOAD_MS, again)

    def _state(self) -> RuntimeState:
        return RuntimeState(
            keeps_deadlines=True,
            replicas=list(self.runs.values()),
            pipelines=[self.pipelines[name] for name in sorted(self.pipelines)],
            loads=[*self.loads, *self._asked()],
            peer_inference_address=f"{self.name}:7412",
        )

    def _report(self) -> None:
        state = self._state()
        self.later(1, lambda: self.feed(RuntimeReported(state)))

    def under_load(self, queue_delay_ms: int) -> None:
        """The queues of what the node runs have this delay from now on."""
        names = sorted({key.workload for key in self.runs})
        self.loads = [ServiceLoad(workload=n, queue_delay_ms=queue_delay_ms) for n in names]
        self._report()

    def asked(self, workload: str, waiting: int = 0, per_second: int = 0) -> None:
        """From now on so many requests for a service wait here, and so many come in a second."""
        self.requests[workload] = (waiting, per_second)
        self._report()

    def _asked(self) -> list[ServiceLoad]:
        return [
            ServiceLoad(workload=name, waiting=waiting, requests_per_second=rate)
            for name, (waiting, rate) in sorted(self.requests.items())
            if waiting or self.serving(name)
        ]

    def versions(self, workload: str) -> list[str]:
        """The versions of a service that serve here."""
        return sorted(
            status.state.model_version
            for key, status in self.runs.items()
            if key.workload == workload and status.state.phase == Phase.SERVING
        )

    def tried(self, version: str) -> bool:
        """Whether a version was ever started here."""
        return version in self.tried_versions

    def serving(self, workload: str) -> int:
        """Replicas of a service that serve here."""
        return sum(
            1
            for key, status in self.runs.items()
            if key.workload == workload and status.state.phase == Phase.SERVING
        )
