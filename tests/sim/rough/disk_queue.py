"""The disk's work of one simulated daemon: in order and some time later, as node/agent/disk_work.py
does it. What is not done when the daemon dies was never on disk."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mesh.core.messages import Trouble
from mesh.events import BatchLost, BatchSaved, SaveBatch, SaveBlob, SaveDocument
from node.agent.disk_work import DURABLE, PROBE

if TYPE_CHECKING:
    from tests.sim.rough.daemon import Daemon

RETRY_MS = 1_000


class DiskQueue:
    """Jobs: each is the rest of one answer of a core, from its first durable step on."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._jobs: deque[deque[Any]] = deque()
        self._waiting: deque[deque[Any]] = deque()
        self._job: deque[Any] | None = None
        self._troubled = False

    def add(self, job: Sequence[Any]) -> None:
        """Does the job in its turn. Its first step is a durable one."""
        self._jobs.append(deque(job))
        if self._job is None:
            self._next()

    def _next(self) -> None:
        while self._job is None and self._jobs:
            job = self._jobs.popleft()
            if self._waiting and isinstance(job[0], (SaveDocument, SaveBlob)):
                self._put_off(job)
            else:
                self._job = job
                self._step()

    def _step(self) -> None:
        """Goes on with the job up to its next durable step, which takes a while."""
        life = self._daemon.life
        while self._job and not isinstance(self._job[0], DURABLE):
            self._daemon.do(self._job.popleft())
            if self._daemon.life != life:
                return
        if self._job:
            self._daemon.later(self._daemon.disk_ms(), self._save)
            return
        self._job = None
        self._next()

    def _save(self) -> None:
        assert self._job
        step, life = self._job[0], self._daemon.life
        if not self._daemon.disk_refuses:
            self._job.popleft()
            self._daemon.do(step)
            if self._daemon.life == life:
                self._saved(step)
            return
        self._say("the disk refuses")
        if isinstance(step, SaveBatch):
            self._lose(step)
            self._step()
        else:
            job, self._job = self._job, None
            self._put_off(job)
            self._next()

    def _saved(self, step: Any) -> None:
        if not self._waiting:
            self._say("")
        if isinstance(step, SaveBatch):
            self._daemon.feed(BatchSaved(step.batch))
        self._step()

    def _put_off(self, job: deque[Any]) -> None:
        if not self._waiting:
            self._daemon.later(RETRY_MS, self._retry)
        self._waiting.append(job)

    def _retry(self) -> None:
        if self._daemon.disk_refuses or self._job is not None:
            self._daemon.later(RETRY_MS, self._retry)
            return
        waiting, self._waiting = self._waiting, deque()
        self._jobs.extendleft(reversed(waiting))
        self._next()

    def _lose(self, failed: SaveBatch) -> None:
        """Gives up all that waits of the log, and says so."""
        key = failed.batch.key
        for job in (self._job or deque(), *self._jobs, *self._waiting):
            kept = [s for s in job if not (isinstance(s, SaveBatch) and s.batch.key == key)]
            job.clear()
            job.extend(kept)
        self._jobs = deque(job for job in self._jobs if job)
        if not self._waiting:
            self._put_off(deque([SaveDocument(PROBE, b"again")]))
        self._daemon.feed(BatchLost(key, "the disk refused"))

    def _say(self, message: str) -> None:
        if self._troubled != bool(message):
            self._troubled = bool(message)
            self._daemon.feed(Trouble("DataFolder", "state", message, "critical"))
