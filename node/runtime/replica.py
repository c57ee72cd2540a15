"""One replica, kept alive: a worker process started, loaded, watched, and started again.

    LOADING ---loaded---> SERVING ---drain---> DRAINING ---> (gone)
       | \\                   |
       |  refused             | died, hangs
       |   \\                 v
       |    REFUSED         FAILED ---back-off---> LOADING
       died, too slow -----> FAILED

REFUSED ends only by another configuration or by `meshctl restart`. A worker is judged by progress:
loading has a limit, an inference has one, and an idle worker is asked now and then.

A replica has *soaked* once a worker has served for as long as its gate asks. One that takes another
version's place is on trial until then: if it dies meanwhile, or again and again while it loads, it
is refused, and the other stays.
"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.runtime.backoff import Backoff
from node.runtime.events import Journal
from node.runtime.limits import (
    DRAIN_S_MAX,
    LOAD_CRASHES_MAX,
    LOAD_TIMEOUTS_MAX,
    PING_EVERY_S,
    SOON_S,
)
from node.runtime.resident import resident_bytes
from node.runtime.service_queue import ServiceQueue
from node.runtime.worker_link import WorkerGone, WorkerStalled
from node.runtime.worker_process import LoadFailed, ModelRefused, WorkerProcess
from protos.documents_pb2 import (
    DRAINING,
    FAILED,
    LOADING,
    REFUSED,
    SERVING,
    Phase,
    ReplicaState,
)
from protos.runtime_pb2 import ReplicaSpec, ReplicaStatus

SETTLED = (SERVING, FAILED, REFUSED)
Queue = ServiceQueue[WorkerProcess]


class Replica:
    """Supervises the worker of one replica with one configuration."""

    def __init__(
        self,
        spec: ReplicaSpec,
        scratch: Path,
        queue: Queue,
        journal: Journal,
        changed: Callable[[], None],
    ) -> None:
        """Starts the first worker. `scratch`: a folder for what workers write."""
        self.spec = spec
        self.phase: Phase = LOADING
        self.reason = ""
        self.restarts = 0
        self.soaked = False
        self.on_trial = False
        self._loaded = False
        self._scratch = scratch
        self._queue = queue
        self._journal = journal
        self._changed = changed
        self._worker: WorkerProcess | None = None
        self._requests_before = 0
        self._backoff = Backoff()
        self._delay_s = 0.0
        self._load_timeouts = 0
        self._load_crashes = 0
        self._leave = asyncio.Event()
        self._again = asyncio.Event()
        self._settled = asyncio.Event()
        self._stopping = False
        self._task = asyncio.create_task(self._live(), name=f"replica {self.subject}")

    @property
    def subject(self) -> str:
        """The replica's name in journals and logs."""
        return f"{self.spec.workload}/{self.spec.index}"

    @property
    def coming(self) -> bool:
        """Whether the replica is starting, or will within a moment."""
        pausing = self.phase == FAILED and self._delay_s <= SOON_S
        return not self._stopping and (self.phase == LOADING or pausing)

    def status(self) -> ReplicaStatus:
        """The replica as the agent sees it."""
        state = ReplicaState(
            workload=self.spec.workload,
            index=self.spec.index,
            config=self.spec.config,
            phase=self.phase,
            reason=self.reason,
            model=self.spec.model,
            model_version=self.spec.model_version,
            soaked=self.soaked,
        )
        status = ReplicaStatus(state=state, restarts=self.restarts, requests=self._requests_before)
        if self._worker is not None:
            status.pid = self._worker.child.pid
            status.started_unix_ms = self._worker.child.started_unix_ms
            status.requests += self._worker.requests
            status.resident_bytes = resident_bytes(self._worker.child.pid)
        return status

    @property
    def worker(self) -> WorkerProcess | None:
        """The worker, while there is one."""
        return self._worker

    async def stop(self) -> None:
        """Drains the replica and ends its worker. It is not started again."""
        self._stopping = True
        self._leave.set()
        self._again.set()
        await asyncio.shield(self._task)

    async def restart(self) -> None:
        """Drains the worker and starts another; ends a back-off or a refusal.

        Returns once the new one serves, or has failed or was refused, or the replica has ended.
        """
        if self._stopping:
            return
        self._settled.clear()
        if self._worker is not None:
            self._leave.set()
        self._again.set()
        await self._settled.wait()

    async def _live(self) -> None:
        while not self._stopping:
            served_s = await self._one_life()
            if self._leave.is_set():
                # Stopped or restarted on purpose: no failure, no back-off.
                self._leave.clear()
                continue
            await self._pause(served_s)
            self.restarts += 1
        self._settled.set()

    async def _pause(self, served_s: float) -> None:
        """Waits before the next start: for the back-off, or when refused until asked."""
        delay = None
        if self.phase != REFUSED:
            delay = self._delay_s = self._backoff.after_end(served_s, random.random())
        self._again.clear()
        if self._stopping or delay == 0.0:
            return
        try:
            async with asyncio.timeout(delay):
                await self._again.wait()
        except TimeoutError:
            return

    async def _one_life(self) -> float:
        """A worker from start to end; seconds that it served."""
        self._set(LOADING, "")
        self._loaded = False
        served_s = 0.0
        try:
            self._worker = WorkerProcess(self.spec, self._scratch)
        except OSError as error:
            self._set(FAILED, f"the worker cannot be started: {error.strerror}")
            return served_s
        self._journal("replica.started", self.subject, pid=str(self._worker.child.pid))
        try:
            self._loaded = await self._load(self._worker)
            if self._loaded:
                begun = time.monotonic()
                await self._serve(self._worker)
                served_s = time.monotonic() - begun
        finally:
            await self._end_worker(self._worker)
        return served_s

    async def _load(self, worker: WorkerProcess) -> bool:
        begun = time.monotonic()
        loading = asyncio.create_task(worker.load())
        leaving = asyncio.create_task(self._leave.wait())
        try:
            await asyncio.wait({loading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not loading.done():
                return False
            loading.result()
        except ModelRefused as error:
            self._refuse(str(error))
            return False
        except WorkerStalled:
            self._load_too_slow(time.monotonic() - begun)
            return False
        except (LoadFailed, WorkerGone) as error:
            self._load_crashes += isinstance(error, WorkerGone)
            self._set(FAILED, f"loading failed: the worker {error}")
            return False
        finally:
            loading.cancel()
            leaving.cancel()
            await asyncio.wait({loading, leaving})
        self._load_timeouts = self._load_crashes = 0
        return True

    async def _serve(self, worker: WorkerProcess) -> None:
        """Until the worker is gone, or the replica leaves and its last inference has ended."""
        self._set(SERVING, "")
        took = {"golden_ms": f"{worker.loaded.golden_latency_us_median / 1000:.2f}"}
        self._journal("replica.serving", self.subject, pid=str(worker.child.pid), **took)
        self._queue.join(worker)
        leaving = asyncio.create_task(self._leave.wait())
        soaked_at = time.monotonic() + self.spec.soak_ms / 1000
        try:
            while not (leaving.done() or worker.link.gone.done()):
                self._soak(soaked_at)
                ends: set[asyncio.Future[Any]] = {leaving, worker.link.gone}
                first = asyncio.FIRST_COMPLETED
                pause = PING_EVERY_S if self.soaked else max(0.0, soaked_at - time.monotonic())
                await asyncio.wait(ends, timeout=min(PING_EVERY_S, pause), return_when=first)
                await self._ping_if_idle(worker)
        finally:
            leaving.cancel()
            self._queue.leave(worker)
        if worker.link.gone.done():
            self._set(FAILED, f"the worker {worker.link.gone.result()}")
        else:
            self._set(DRAINING, "")
            await worker.link.idle(DRAIN_S_MAX)

    def _soak(self, soaked_at: float) -> None:
        if not self.soaked and time.monotonic() >= soaked_at:
            self.soaked = True
            self._changed()

    async def _ping_if_idle(self, worker: WorkerProcess) -> None:
        if worker.link.busy or worker.link.gone.done() or self._leave.is_set():
            return
        try:
            await worker.ping()
        except WorkerGone:
            return

    async def _end_worker(self, worker: WorkerProcess) -> None:
        """Ends the process and says how it came to its end."""
        drained = self.phase in (DRAINING, REFUSED)
        ended = await worker.end(at_once=not drained)
        self._requests_before += worker.requests
        self._worker = None
        if self.phase == DRAINING or self._leave.is_set():
            self._journal("replica.stopped", self.subject)
        elif self.phase == FAILED:
            self._set(FAILED, self.reason.replace("worker ended", f"worker {ended}"))
            self._journal("replica.died", self.subject, cause=self.reason)
            self._judge_trial()
        self._changed()

    def _judge_trial(self) -> None:
        """Whether a version on trial is refused because its worker died."""
        if not self.on_trial or self.soaked:
            return
        if self._loaded:
            self._refuse(f"in its soak {self.reason}")
        elif self._load_crashes >= LOAD_CRASHES_MAX:
            self._refuse(f"{self.reason}, {LOAD_CRASHES_MAX} times in a row")

    def _load_too_slow(self, seconds: float) -> None:
        self._load_timeouts += 1
        text = f"loading was not done within {seconds:.0f} s, the limit in the manifest"
        if self._load_timeouts >= LOAD_TIMEOUTS_MAX:
            self._load_timeouts = 0
            self._refuse(f"{text}, {LOAD_TIMEOUTS_MAX} times in a row")
        else:
            self._set(FAILED, text)

    def _refuse(self, evidence: str) -> None:
        self._set(REFUSED, evidence)
        self._journal("replica.refused", self.subject, cause=evidence)

    def _set(self, phase: Phase, reason: str) -> None:
        self.phase, self.reason = phase, reason
        if phase in SETTLED:
            self._settled.set()
        self._changed()
