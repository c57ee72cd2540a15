"""Deadlines of pipelines in the runtime: the process ends at its own, and starts again renewed."""

import os
import signal

from node.runtime.term import Term, boot_ms
from protos.documents_pb2 import FAILED
from tests.node.runtime.test_pipeline import Watched, spec
from tests.node.runtime.test_pipeline import video as video  # the fixture

HOUR_MS = 3_600_000
SHORT_MS = 4_000
"""Longer than a process takes to start on a busy machine."""


async def test_a_term_is_renewed_by_later_deadlines_alone() -> None:
    term = Term(boot_ms() + HOUR_MS)
    before = term.deadline_ms
    assert not term.renew(before)
    assert term.renew(before + 1)
    assert not Term(0).renew(before)
    assert not Term(0).is_over
    assert Term(1).is_over


async def test_the_process_ends_at_its_deadline_and_starts_again_once_renewed(video: str) -> None:
    made = Watched(spec(video, deadline_ms=boot_ms() + SHORT_MS), stall_s=20.0)
    await made.until(lambda pipeline: pipeline.status().pid)
    before = made.pipeline.status().pid
    await made.until(lambda pipeline: pipeline.phase == FAILED and not pipeline.status().pid)
    assert "its lease is over" in made.events("pipeline.died")[0].cause
    await made.until(lambda pipeline: "it runs again once" in pipeline.reason)
    made.pipeline.renew(boot_ms() + HOUR_MS)
    await made.until(lambda pipeline: pipeline.status().pid not in (0, before))
    await made.pipeline.stop()


async def test_one_that_waits_for_its_lease_can_be_stopped(video: str) -> None:
    made = Watched(spec(video, deadline_ms=1), stall_s=20.0)
    await made.until(lambda pipeline: "it runs again once" in pipeline.reason)
    assert not made.events("pipeline.started")
    await made.pipeline.stop()


async def test_a_renewed_process_goes_on_beyond_its_first_deadline(video: str) -> None:
    first_ms = boot_ms() + SHORT_MS
    made = Watched(spec(video, deadline_ms=first_ms), stall_s=20.0)
    await made.until(lambda pipeline: pipeline.status().pid)
    pid = made.pipeline.status().pid
    made.pipeline.renew(first_ms + HOUR_MS)
    await made.until(lambda pipeline: boot_ms() > first_ms + 1_000 and pipeline.status().frames)
    assert made.pipeline.status().pid == pid
    told = [item for item in made.journal if item.unix_ms]
    assert told
    os.kill(pid, signal.SIGKILL)
    await made.until(lambda pipeline: pipeline.status().pid not in (0, pid))
    await made.pipeline.stop()
