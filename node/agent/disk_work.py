"""The disk's work of one daemon: in order, by one thread, away from the event loop.

A job is the rest of one answer of a core from its first durable step on. What follows a step waits
until the step is on disk. When the disk refuses:

- A document or a blob (a head, a branch, a manifest) is tried again from memory, for ever, because
  nobody sends it twice to a core that has taken it already. The rest of its job, and later jobs
  that begin with one, wait behind it, in order.
- A batch of a journal is given up, with all of the same log that wait behind it: written without
  it they would leave a hole, and a master would acknowledge what it does not have. `BatchLost`
  says so, and the batches may come again from whoever sent them.

Nothing else waits for a disk that refuses: healing goes on.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog

from mesh.events import BatchLost, BatchSaved, SaveBatch, SaveBlob, SaveDocument, Send
from node.agent.stores import Stores
from node.disk.errors import DiskError

DURABLE = (SaveDocument, SaveBlob, SaveBatch)
RETRY_S = 1.0
"""Between two attempts at what the disk refused."""
WAITING_MAX = 256
"""Jobs that wait for a disk which refuses: one for each head or manifest, about 30 KiB. Worst case
8 MiB of ordinary ones; above it the oldest is given up, because the later ones supersede it."""
SETTLE_S = 5.0
"""For a daemon's last words to reach the disk: a healthy one takes far less even when it is busy,
and whoever stops a daemon does not wait for one that hangs."""
PROBE = "disk-probe"
"""The document that is written where nothing else waits, to see whether a disk that refused a batch
works again. Other bytes each time: what a document holds already is not written."""

log = structlog.get_logger(__name__)


class DiskWork:
    """Does jobs. `do` carries out a step that needs no disk, `feed` takes the core's events.

    `on_trouble` hears of a disk that refuses (a message) or works again (""). `retry_s` and
    `settle_s`: see RETRY_S and SETTLE_S.
    """

    def __init__(
        self,
        stores: Stores,
        do: Callable[[Any], None],
        feed: Callable[[Any], None],
        on_trouble: Callable[[str], None],
        retry_s: float = RETRY_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._stores = stores
        self._do = do
        self._feed = feed
        self._on_trouble = on_trouble
        self._retry_s = retry_s
        self._settle_s = settle_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._jobs: deque[list[Any]] = deque()
        self._waiting: deque[list[Any]] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._ended = False
        self._again_s = 0.0
        self.refuses = False
        """Whether the disk refused the last step."""

    def add(self, job: Sequence[Any]) -> None:
        """Does the job in its turn. Its first step is a durable one."""
        self._jobs.append(list(job))
        self._idle.clear()
        self._news.set()

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                await self._next()
        finally:
            self._ended = True
            self._idle.set()
            self._thread.shutdown(wait=False)

    async def settled(self) -> None:
        """Until all that was asked for is done, or waits because the disk refuses: for whoever is
        about to end this work. What is asked for meanwhile counts too, so it takes SETTLE_S, and no
        longer, where a disk hangs, or is slower than what comes in."""
        if self._ended:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settle_s):
                await self._idle.wait()

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs blocking disk work in the disk's thread, after what was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # ---- jobs ----

    async def _next(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._waiting and now_s >= self._again_s:
            await self._retry()
        elif self._jobs:
            await self._take(self._jobs.popleft())
        else:
            self._news.clear()
            self._idle.set()
            await self._wait(self._again_s - now_s if self._waiting else None)

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _take(self, job: list[Any]) -> None:
        if self._waiting and isinstance(job[0], (SaveDocument, SaveBlob)):
            self._put_off(job)
            return
        left = await self._carry(job)
        if left:
            self._put_off(left)

    async def _retry(self) -> None:
        while self._waiting:
            left = await self._carry(self._waiting[0])
            if left:
                self._waiting[0] = left
                self._again_s = asyncio.get_running_loop().time() + self._retry_s
                return
            self._waiting.popleft()
        self._works_again()

    def _put_off(self, job: list[Any]) -> None:
        if not self._waiting:
            self._again_s = asyncio.get_running_loop().time() + self._retry_s
        self._waiting.append(job)
        if len(self._waiting) > WAITING_MAX:
            oldest = self._waiting.popleft()
            log.error("given up: the disk refuses for too long", what=str(type(oldest[0])))
            for step in oldest:
                if not isinstance(step, (*DURABLE, Send)):
                    self._do(step)

    async def _carry(self, job: list[Any]) -> list[Any]:
        """Carries a job out; returns what must wait, from the step that the disk refused on."""
        steps = deque(job)
        while steps:
            step = steps[0]
            if not isinstance(step, DURABLE):
                self._do(step)
            elif await self._saved(step):
                if isinstance(step, SaveBatch):
                    self._feed(BatchSaved(step.batch))
            elif isinstance(step, SaveBatch):
                self._lose(step, steps)
                continue
            else:
                return list(steps)
            steps.popleft()
        return []

    # ---- steps ----

    async def _saved(self, step: Any) -> bool:
        """Does one durable step; whether it is on disk now."""
        try:
            await self.in_thread(self._save, step)
        except DiskError as error:
            log.error("the disk refused", error=str(error), what=type(step).__name__)
            self.refuses = True
            self._on_trouble(str(error))
            return False
        if not self._waiting:
            self._works_again()
        return True

    def _works_again(self) -> None:
        if self.refuses:
            self.refuses = False
            self._on_trouble("")

    def _save(self, step: Any) -> None:
        match step:
            case SaveDocument():
                self._stores.documents.put(step.name, step.data)
            case SaveBlob():
                self._stores.blobs.put(step.data)
            case SaveBatch():
                self._stores.journals.append([step.batch])
                if step.batch.key.kind == "data":
                    self._stores.journals.flush([step.batch.key])

    def _lose(self, failed: SaveBatch, steps: deque[Any]) -> None:
        """Gives up all that waits of the log, here and in later jobs, and says so."""
        key = failed.batch.key
        for job in (steps, *self._jobs, *self._waiting):
            kept = [s for s in job if not (isinstance(s, SaveBatch) and s.batch.key == key)]
            job.clear()
            job.extend(kept)
        self._jobs = deque(job for job in self._jobs if job)
        if not self._waiting:  # somebody must find out when the disk works again
            self._put_off([SaveDocument(PROBE, secrets.token_bytes(8))])
        self._feed(BatchLost(key, "the disk refused"))
