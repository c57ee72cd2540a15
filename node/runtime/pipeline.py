"""One pipeline, kept alive: `python -m node.vision`, told its task in one line of JSON on stdin.

What it prints is JSON lines {"event", "kind", "fields"}: `record` and `data` go to the journal,
`progress` is its sign of life and says whether it runs. Without any line for PIPELINE_STALL_S it
hangs in native code (a camera's driver, a decoder) and is killed with its group.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress

from node.runtime import child
from node.runtime.backoff import Backoff
from node.runtime.child import Child
from node.runtime.events import DATA, RECORD
from node.runtime.limits import (
    PIPELINE_LINE_BYTES_MAX,
    PIPELINE_MEMORY_BYTES,
    PIPELINE_STALL_S,
    STALL_GRACE_S,
)
from node.runtime.term import Term
from protos.documents_pb2 import DRAINING, FAILED, LOADING, REFUSED, SERVING, Phase, PipelineState
from protos.runtime_pb2 import JournalItem, PipelineSpec, PipelineStatus

STATUS_BAD_SPEC = 2
"""The exit status that says: this spec cannot be used, trying again is of no use."""

FIELDS_MAX = 32
FIELD_CHARACTERS_MAX = 1000
"""Of one journal item: a pipeline's lines are cut to this, 32 KB at worst."""

PHASES: dict[str, Phase] = {"starting": LOADING, "running": SERVING, "failing": FAILED}
"""A pipeline's own words for how it is."""


class Pipeline:
    """Supervises the process of one pipeline."""

    def __init__(
        self,
        spec: PipelineSpec,
        inference_address: str,
        journal: Callable[[JournalItem], None],
        changed: Callable[[], None],
        stall_s: float = PIPELINE_STALL_S,
    ) -> None:
        """Starts the pipeline. `stall_s`: seconds without a line after which it hangs."""
        self.spec = spec
        self.phase: Phase = LOADING
        self.reason = ""
        self.restarts = 0
        self._inference_address = inference_address
        self._journal = journal
        self._changed = changed
        self._stall_s = stall_s
        self._child: Child | None = None
        self._term = Term(spec.deadline_ms)
        self._frames = 0
        self._backoff = Backoff()
        self._wake = asyncio.Event()
        self._stopping = False
        self._restarting = False
        self.task = asyncio.create_task(self._live(), name=f"pipeline {spec.workload}")

    def status(self) -> PipelineStatus:
        """The pipeline as the agent sees it."""
        state = PipelineState(
            workload=self.spec.workload,
            config=self.spec.config,
            phase=self.phase,
            reason=self.reason,
        )
        status = PipelineStatus(state=state, restarts=self.restarts, frames=self._frames)
        if self._child is not None:
            status.pid = self._child.pid
            status.started_unix_ms = self._child.started_unix_ms
        return status

    def renew(self, deadline_ms: int) -> None:
        """Lets the pipeline run until this time of CLOCK_BOOTTIME, if that is later than now."""
        if self._term.renew(deadline_ms) and self._child is not None:
            _write(self._child, {"deadline_ms": deadline_ms})

    async def stop(self) -> None:
        """Ends the pipeline; it is not started again."""
        self._stopping = True
        self._wake.set()
        self._set(DRAINING, "")
        if self._child is not None:
            await self._child.end()
        await asyncio.shield(self.task)

    async def restart(self) -> None:
        """Ends the pipeline's process; another is started at once."""
        self._restarting = True
        self._wake.set()
        if self._child is not None:
            await self._child.end()

    async def _live(self) -> None:
        while not self._stopping:
            if self._term.is_over:
                await self._wait_for_term()
                continue
            begun = time.monotonic()
            await self._one_life()
            if self._stopping:
                return
            if self._restarting:
                self._restarting = False
                continue
            await self._pause(time.monotonic() - begun)
            self.restarts += 1

    async def _wait_for_term(self) -> None:
        """Until it may run again, or is told to end."""
        self._set(FAILED, "its lease is over: it runs again once that is renewed")
        self._wake.clear()
        waits = [asyncio.ensure_future(wait) for wait in (self._term.begun(), self._wake.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._restarting = False

    async def _one_life(self) -> None:
        self._set(LOADING, "")
        try:
            self._child = child.start(
                "node.vision", [], data_bytes=PIPELINE_MEMORY_BYTES, pipes=True
            )
        except OSError as error:
            self._set(FAILED, f"the pipeline cannot be started: {error.strerror}")
            return
        self._record("pipeline.started", pid=str(self._child.pid))
        stalled = True
        in_time = asyncio.create_task(self._end_in_time(self._child))
        try:
            self._tell(self._child)
            stalled = await self._listen(self._child)
        finally:
            in_time.cancel()
            status = await (self._child.kill() if stalled else self._child.finish())
            self._child.stdout.close()
            self._child.stdin.close()
            self._child = None
        if not (self._stopping or self._restarting):
            why = f"printed nothing in {self._stall_s:.0f} s" if stalled else ""
            self._ended(why or child.describe_exit(status), status)

    async def _end_in_time(self, running: Child) -> None:
        await self._term.over()
        await running.kill()

    def _tell(self, running: Child) -> None:
        """Gives the process its task. A pipe holds 64 KiB, so this never waits."""
        spec = self.spec
        task = {
            "workload": spec.workload,
            "source_url": spec.source_url,
            "service": spec.service,
            "every_ms": spec.every_ms,
            "journal_on_change": spec.journal_on_change,
            "journal_summary_every_ms": spec.journal_summary_every_ms,
            "threshold": spec.threshold,
            "inference_address": self._inference_address,
            "deadline_ms": self._term.deadline_ms,
        }
        _write(running, task)
        if not self._term.deadline_ms:
            running.stdin.close()

    async def _listen(self, running: Child) -> bool:
        """Until the process ends (False) or prints nothing for too long (True)."""
        reader = asyncio.StreamReader(limit=PIPELINE_LINE_BYTES_MAX)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), running.stdout
        )
        try:
            while line := await _next_line(reader, self._stall_s):
                self._heard(line)
            return False
        except TimeoutError:
            return True
        except (ValueError, OSError):
            # A line that is too long: it talks nonsense, and is killed and started again.
            return False
        finally:
            transport.close()

    def _heard(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            kind, event, fields = said["kind"], said["event"], dict(said["fields"])
        except (ValueError, KeyError, TypeError):
            return
        if kind == "progress":
            self._progress(fields)
        elif kind in (RECORD, DATA):
            item = JournalItem(kind=kind, event=str(event)[:100], subject=self.spec.workload)
            item.unix_ms = _when(said.get("unix_ms"))
            for key, value in list(fields.items())[:FIELDS_MAX]:
                item.fields[str(key)[:100]] = str(value)[:FIELD_CHARACTERS_MAX]
            self._journal(item)

    def _progress(self, fields: dict[str, object]) -> None:
        frames = str(fields.get("frames", ""))
        self._frames = int(frames) if frames.isdecimal() else self._frames
        phase = PHASES.get(str(fields.get("phase", "running")), SERVING)
        reason = str(fields.get("reason", ""))[:FIELD_CHARACTERS_MAX]
        if self._stopping or (phase, reason) == (self.phase, self.reason):
            return
        self._set(phase, reason)

    def _ended(self, why: str, status: int) -> None:
        reason = f"the pipeline {why}"
        if self._term.is_over:
            reason = f"{reason}: its lease is over"
        if status == STATUS_BAD_SPEC:
            self._set(REFUSED, f"{reason}: its settings cannot be used, see the node's log")
        else:
            self._set(FAILED, reason)
        self._record("pipeline.died", cause=reason)

    async def _pause(self, ran_s: float) -> None:
        delay = None if self.phase == REFUSED else self._backoff.after_end(ran_s, random.random())
        self._wake.clear()
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
        self._restarting = False

    def _record(self, event: str, cause: str = "", **fields: str) -> None:
        subject = self.spec.workload
        self._journal(
            JournalItem(kind=RECORD, event=event, subject=subject, cause=cause, fields=fields)
        )

    def _set(self, phase: Phase, reason: str) -> None:
        self.phase, self.reason = phase, reason
        self._changed()


def _write(running: Child, message: dict[str, object]) -> None:
    """A line of input for the process. A pipe holds 64 KiB, so this never waits: a process that has
    read nothing for so long that it is full gets no more."""
    os.set_blocking(running.stdin.fileno(), False)
    with suppress(BrokenPipeError, BlockingIOError):
        os.write(running.stdin.fileno(), json.dumps(message).encode() + b"\n")


def _when(said: object) -> int:
    """When a line says that it was printed, in milliseconds since 1970; 0 if it says nothing that
    can be: what lies ahead was not printed yet."""
    now_ms = time.time_ns() // 1_000_000
    return said if type(said) is int and 0 < said <= now_ms else 0


async def _next_line(reader: asyncio.StreamReader, stall_s: float) -> bytes:
    """The next line; empty at the end. Raises TimeoutError if none comes for too long."""
    reading = asyncio.ensure_future(reader.readline())
    for limit in (stall_s, STALL_GRACE_S):
        await asyncio.wait({reading}, timeout=limit)
        if reading.done():
            return reading.result()
    reading.cancel()
    raise TimeoutError
