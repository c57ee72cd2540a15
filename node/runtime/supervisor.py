"""What should run here and what does: replicas and pipelines by name, kept at what was asked for.

Applying what already holds does nothing. A replica whose configuration changed is started beside
the old one, which serves on until the new one has soaked: fetch, verify, compile, warm, check,
soak, then switch, drain, unload. A new version that is refused therefore takes nothing away.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from node.runtime.events import Hub
from node.runtime.pipeline import Pipeline
from node.runtime.replica import Queue, Replica
from protos.documents_pb2 import SERVING
from protos.runtime_pb2 import PipelineSpec, ReplicaSpec, RuntimeSpec

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A workload and the index of its replica on this node."""


class SpecRefused(ValueError):
    """The spec contradicts itself; nothing was changed."""


class Supervisor:
    """Starts and ends replicas and pipelines so that they are what the last spec says."""

    def __init__(
        self,
        queues: Callable[[str], Queue],
        hub: Hub,
        inference_address: Callable[[], str],
        scratch: Path,
    ) -> None:
        """`inference_address` is the clear port's, for pipelines; workers write in `scratch`."""
        self._scratch = scratch
        self._queues = queues
        self._hub = hub
        self._inference_address = inference_address
        self._replicas: dict[Place, list[Replica]] = {}
        self._wanted: dict[Place, str] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._wanted_pipelines: dict[str, PipelineSpec] = {}
        self._leaving: set[Replica | Pipeline] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def replicas(self) -> list[Replica]:
        """All replicas, the old before the new where both live."""
        return [replica for place in sorted(self._replicas) for replica in self._replicas[place]]

    @property
    def pipelines(self) -> list[Pipeline]:
        """All pipelines, by name."""
        return [self._pipelines[name] for name in sorted(self._pipelines)]

    def coming(self, workload: str) -> bool:
        """Whether a replica of `workload` is starting here."""
        return any(r.coming for r in self.replicas if r.spec.workload == workload)

    def apply(self, spec: RuntimeSpec) -> None:
        """Makes what runs follow `spec`; returns at once. Raises SpecRefused."""
        places = {(replica.workload, replica.index): replica for replica in spec.replicas}
        pipelines = {pipeline.workload: pipeline for pipeline in spec.pipelines}
        if len(places) != len(spec.replicas) or len(pipelines) != len(spec.pipelines):
            raise SpecRefused("a replica or pipeline is named twice in the spec")
        self._wanted = {place: replica.config for place, replica in places.items()}
        for place in sorted(self._replicas.keys() - places.keys()):
            for replica in self._replicas[place]:
                self._retire(place, replica)
        for place in sorted(places):
            self._want_replica(place, places[place])
        self._apply_pipelines(pipelines)
        self._hub.state_changed()

    def renew(self, deadlines: Mapping[str, int]) -> None:
        """Lets pipelines run until these times of CLOCK_BOOTTIME, by workload."""
        for workload, deadline_ms in deadlines.items():
            if workload in self._pipelines:
                self._pipelines[workload].renew(deadline_ms)
            if workload in self._wanted_pipelines:  # may be waiting for the one before it to end
                spec = self._wanted_pipelines[workload]
                spec.deadline_ms = max(spec.deadline_ms, deadline_ms) if spec.deadline_ms else 0

    async def restart(self, workload: str) -> int:
        """Restarts a workload's replicas one after the other, or its pipeline; how many."""
        replicas = [r for r in self.replicas if r.spec.workload == workload]
        pipelines = [p for p in self.pipelines if p.spec.workload == workload]
        for replica in replicas:
            await replica.restart()
        for pipeline in pipelines:
            await pipeline.restart()
        return len(replicas) + len(pipelines)

    async def stop(self) -> None:
        """Ends everything that runs."""
        self.apply(RuntimeSpec())
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _want_replica(self, place: Place, spec: ReplicaSpec) -> None:
        held = self._replicas.setdefault(place, [])
        staying = [replica for replica in held if replica not in self._leaving]
        if not any(replica.spec.config == spec.config for replica in staying):
            queue = self._queues(spec.workload)
            record, changed = self._hub.record, self._replica_changed
            replica = Replica(spec, self._scratch, queue, record, changed)
            replica.on_trial = any(other.phase == SERVING for other in staying)
            held.append(replica)
        self._drop_superseded(place)

    def _replica_changed(self) -> None:
        for place in list(self._replicas):
            self._drop_superseded(place)
        self._hub.state_changed()

    def _drop_superseded(self, place: Place) -> None:
        """Of a place's replicas, ends the unwanted that nothing is gained by keeping."""
        held, wanted = self._replicas[place], self._wanted.get(place)
        new_serves = any(
            r.spec.config == wanted and r.phase == SERVING and (r.soaked or not r.on_trial)
            for r in held
        )
        for replica in held:
            if replica.spec.config != wanted and (new_serves or replica.phase != SERVING):
                self._retire(place, replica)

    def _retire(self, place: Place, replica: Replica) -> None:
        if replica not in self._leaving:
            self._leaving.add(replica)
            self._spawn(self._end_replica(place, replica))

    async def _end_replica(self, place: Place, replica: Replica) -> None:
        await replica.stop()
        self._leaving.discard(replica)
        self._replicas[place].remove(replica)
        if not self._replicas[place]:
            del self._replicas[place]
        self._hub.state_changed()

    def _apply_pipelines(self, wanted: dict[str, PipelineSpec]) -> None:
        self._wanted_pipelines = wanted
        self.renew({name: spec.deadline_ms for name, spec in wanted.items()})
        for name, pipeline in list(self._pipelines.items()):
            holds = name in wanted and wanted[name].config == pipeline.spec.config
            if not holds and pipeline not in self._leaving:
                self._leaving.add(pipeline)
                self._spawn(self._replace_pipeline(name, pipeline))
        for name in sorted(wanted.keys() - self._pipelines.keys()):
            self._start_pipeline(wanted[name])

    async def _replace_pipeline(self, name: str, pipeline: Pipeline) -> None:
        """A source has one reader at a time, so the old one ends before the new one starts."""
        await pipeline.stop()
        self._leaving.discard(pipeline)
        del self._pipelines[name]
        if name in self._wanted_pipelines:
            self._start_pipeline(self._wanted_pipelines[name])
        self._hub.state_changed()

    def _start_pipeline(self, spec: PipelineSpec) -> None:
        address = self._inference_address()
        self._pipelines[spec.workload] = Pipeline(
            spec, address, self._hub.journal, self._hub.state_changed
        )

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("ending a workload failed: %s", error, exc_info=error)
