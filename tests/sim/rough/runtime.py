"""A node's runtime on a rough machine: it outlives its agent, dies, freezes, loses its workers."""

from typing import Any

from mesh.core.messages import Run, RuntimeReported
from mesh.site.local import ReplicaKey
from protos.documents_pb2 import Phase, ServiceLoad
from protos.runtime_pb2 import RuntimeState
from tests.sim.checks.facts import PipelineStarted, ReplicaStopped, Served, WorkerStarted
from tests.sim.checks.room import minima
from tests.sim.nodes import SimNode
from tests.sim.rough.daemon import Daemon
from tests.sim.rough.world import RoughWorld
from tests.sim.runtime import LOAD_MS

TELL_MS = 4
RUNTIME_STARTS_MS = 3_000
RUNTIME_SILENT_MS = 3_000
"""As node/agent/runtime_pulse.py, which kills it in the end, too."""


class RoughRuntime(Daemon, SimNode):
    """The runtime of a machine, and how its agent sees it."""

    world: RoughWorld

    def make_runtime(self) -> None:
        """To be called first."""
        self.on = False
        self.runtime_up = False
        self.runtime_frozen = False
        self.busy_ms = 0
        self.reported: frozenset[ReplicaKey] = frozenset()
        self._newest: Run | None = None
        self._applied: Run | None = None

    # ---- as the agent sees it ----

    def greet_runtime(self) -> None:
        """The agent that starts finds its runtime, or that there is none."""
        if not self.runtime_frozen:
            self.feed(RuntimeReported(self._state() if self.runtime_up else None))

    def newest(self, run: Run) -> None:
        """Each instruction says all: only the newest is told."""
        self._newest = run

    def do_Run(self, i: Any) -> None:  # noqa: N802
        if i is self._newest:
            self._applied = i
            self.later(TELL_MS, lambda: self._tell(i))

    def do_Renew(self, i: Any) -> None:  # noqa: N802
        def renew() -> None:
            if self.runtime_up and not self.runtime_frozen:
                SimNode.do_Renew(self, i)

        self.later(TELL_MS, renew)

    def pipeline_started(self, name: str, leased: bool) -> None:
        """A pipeline starts here."""
        SimNode.pipeline_started(self, name, leased)
        beside = tuple(self.world.pipeline_starts[-1][3])
        fact = PipelineStarted(self.world.now_ms, self.name, name, leased, beside)
        self.world.watch(fact)

    def _tell(self, run: Run) -> None:
        if run is not self._applied or not self.runtime_up or self.runtime_frozen:
            return
        before = {k: s.state.phase for k, s in self.runs.items()}
        SimNode.do_Run(self, run)
        left = {(key.workload, key.index) for key in self.runs}
        share = self.core.share
        asked, least = minima(share.plan.services), minima(share.base.services)
        for key in sorted(before):
            ends = (key.workload, key.index) not in left and before[key] == Phase.SERVING
            if ends:
                name, formerly = key.workload, self._formerly(key.workload)
                now_ms = self.world.now_ms
                here = self.serving(name)
                fact = ReplicaStopped(now_ms, self.name, name, asked, least, formerly, here)
                self.world.watch(fact)

    def _formerly(self, workload: str) -> int:
        hosts = [self.world.hosts[name] for name in self.world.former]
        return sum(
            key.workload == workload and status.state.phase == Phase.SERVING
            for host in hosts
            if self.core.revoked.is_revoked(host.contact.tls_key) is None
            for key, status in host.runs.items()
        )

    def tries(self, key: ReplicaKey) -> bool:
        """Whether it runs that configuration of the service, and has not passed or refused it."""
        return any(
            (one.workload, one.config) == (key.workload, key.config)
            and not (status.state.phase == Phase.SERVING and status.state.soaked)
            and status.state.phase != Phase.REFUSED
            for one, status in self.runs.items()
        )

    def _start_replica(self, key: ReplicaKey, plan: Any) -> None:
        whole = self.disk.whole(plan.artifact)
        self.world.note(self.name, f"starts {key} {plan.model_version}")
        nodes = [h for h in self.world.hosts.values() if isinstance(h, RoughRuntime)]
        others = [h for h in nodes if h is not self and h.name not in self.world.former]
        trying = frozenset(h.name for h in others if h.tries(key))
        self.world.watch(WorkerStarted(self.world.now_ms, self.name, key, plan, whole, trying))
        SimNode._start_replica(self, key, plan)

    def _state(self) -> RuntimeState:
        serving = {k.workload for k, s in self.runs.items() if s.state.phase == Phase.SERVING}
        self.loads = [
            ServiceLoad(workload=name, queue_delay_ms=self.busy_ms) for name in sorted(serving)
        ]
        return SimNode._state(self)

    def _report(self) -> None:
        if self.runtime_up and not self.runtime_frozen:
            SimNode._report(self)

    def feed(self, event: Any) -> None:
        """Gives the core an event; what the runtime said last is remembered for the checks."""
        if isinstance(event, RuntimeReported) and self.up and not self.frozen:
            replicas = event.state.replicas if event.state is not None else ()
            self.reported = frozenset(
                ReplicaKey(s.state.workload, s.state.index, s.state.config)
                for s in replicas
                if s.state.phase == Phase.SERVING
            )
        super().feed(event)

    def under_load(self, queue_delay_ms: int) -> None:
        """The queues of whatever the node serves have this delay from now on."""
        self.busy_ms = queue_delay_ms
        self._report()

    # ---- the runtime's own faults ----

    def tell_what_served(self) -> None:
        """What serves until now may be believed to serve for a while, however short it was."""
        if not self.runtime_frozen:
            counts = {key.workload: self.serving(key.workload) for key in self.runs}
            self.world.watch(Served(self.world.now_ms, self.name, counts))

    def freeze_runtime(self, frozen: bool) -> None:
        """SIGSTOP and SIGCONT to the runtime."""
        self.tell_what_served()
        self.runtime_frozen = frozen and self.runtime_up
        if self.runtime_frozen:
            self.later(RUNTIME_SILENT_MS, self._notice_silence)
        elif self.runtime_up:
            self._catch_up()

    def _notice_silence(self) -> None:
        if self.runtime_frozen:
            self.feed(RuntimeReported(None))

    def kill_runtime(self) -> None:
        """The runtime dies with its workers; the agent starts another."""
        if not self.runtime_up:
            return
        self.tell_what_served()
        self.world.note(self.name, "runtime dies")
        self.runtime_up, self.runtime_frozen = False, False
        self.runs, self.pipelines, self.deadlines = {}, {}, {}
        self.later(1, lambda: self.feed(RuntimeReported(None)))

        def again() -> None:
            if self.on and self.up and not self.frozen and not self.runtime_up:
                self.runtime_up = True
                self._report()
                self._catch_up()
            elif self.on and not self.runtime_up:
                self.world.after(RUNTIME_STARTS_MS, again)  # nobody starts it until an agent lives

        self.world.after(RUNTIME_STARTS_MS, again)

    def _catch_up(self) -> None:
        applied = self._applied
        if applied is not None:
            self.later(TELL_MS, lambda: self._tell(applied))
        self._report()

    def kill_worker(self, workload: str) -> None:
        """SIGKILL to the workers of a service that serve; the runtime starts them again."""
        for key, status in sorted(self.runs.items()):
            if key.workload == workload and status.state.phase == Phase.SERVING:
                status.state.phase = Phase.FAILED
                status.restarts += 1
                self._start_again(key, status.pid)
        self._report()

    def _start_again(self, key: ReplicaKey, pid: int) -> None:
        def again() -> None:
            status = self.runs.get(key)
            if status is not None and status.pid == pid:
                self._pids += 1
                status.pid, status.state.phase = self._pids, Phase.SERVING
                self._report()

        self.world.after(LOAD_MS, again)
