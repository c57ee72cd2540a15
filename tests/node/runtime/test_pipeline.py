"""Pipelines: real processes of `node.vision`, kept alive and heard."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from node.runtime.pipeline import Pipeline
from protos.documents_pb2 import FAILED, REFUSED
from protos.runtime_pb2 import JournalItem, PipelineSpec, RuntimeSpec
from tests.node.runtime.harness import WAIT_S, RunningRuntime, runtime_here
from tests.node.worker.models import Recipe, build

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "face-detector"


class Watched:
    """A pipeline and what it says, for a test to wait on."""

    def __init__(self, spec: PipelineSpec, stall_s: float) -> None:
        self.journal: list[JournalItem] = []
        self._news = asyncio.Event()
        self.pipeline = Pipeline(spec, "127.0.0.1:1", self._heard, self._news.set, stall_s)

    def _heard(self, item: JournalItem) -> None:
        self.journal.append(item)
        self._news.set()

    async def until(self, holds: Callable[[Pipeline], object]) -> None:
        """Waits until the pipeline is so."""
        async with asyncio.timeout(WAIT_S):
            while not holds(self.pipeline):
                self._news.clear()
                await self._news.wait()

    def events(self, event: str) -> list[JournalItem]:
        """The items of this kind so far."""
        return [item for item in self.journal if item.event == event]


def spec(source: str, **more: object) -> PipelineSpec:
    made = PipelineSpec(
        workload="entrance",
        config="1",
        source_url=source,
        service="faces",
        every_ms=50,
        journal_on_change=True,
        journal_summary_every_ms=1000,
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two seconds of grey."""
    path = str(tmp_path_factory.mktemp("video") / "grey.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(20):
        writer.write(np.full((48, 64, 3), 128, np.uint8))
    writer.release()
    return path


@pytest.fixture
async def watched(video: str) -> AsyncIterator[Watched]:
    # A busy machine takes seconds to start one: less would be taken for a stall.
    made = Watched(spec(video), stall_s=6.0)
    yield made
    await made.pipeline.stop()


async def test_a_source_that_is_not_there_is_said_and_tried_again_from_inside() -> None:
    made = Watched(spec("/nowhere/video.avi"), stall_s=20.0)
    await made.until(lambda pipeline: pipeline.phase == FAILED)
    await made.until(lambda _: made.events("pipeline.error"))
    assert made.pipeline.status().pid
    assert made.pipeline.status().restarts == 0
    await made.pipeline.stop()


async def test_a_spec_that_cannot_be_used_is_refused_until_another_comes(video: str) -> None:
    made = Watched(spec(video, every_ms=1), stall_s=20.0)
    await made.until(lambda pipeline: pipeline.phase == REFUSED)
    assert "settings cannot be used" in made.pipeline.reason
    await made.pipeline.stop()


async def test_a_killed_one_comes_back(watched: Watched) -> None:
    await watched.until(lambda pipeline: pipeline.status().frames)
    before = watched.pipeline.status().pid
    os.kill(before, signal.SIGKILL)
    await watched.until(lambda pipeline: pipeline.status().pid not in (0, before))
    assert "killed by SIGKILL" in watched.events("pipeline.died")[0].cause
    assert watched.pipeline.restarts == 1


async def test_one_that_says_nothing_any_more_is_killed(watched: Watched) -> None:
    await watched.until(lambda pipeline: pipeline.status().frames)
    before = watched.pipeline.status().pid
    os.kill(before, signal.SIGSTOP)
    await watched.until(lambda pipeline: pipeline.status().pid not in (0, before))
    assert "printed nothing in 6 s" in watched.events("pipeline.died")[0].cause


async def test_a_restart_is_no_failure(watched: Watched) -> None:
    await watched.until(lambda pipeline: pipeline.status().frames)
    before = watched.pipeline.status().pid
    await watched.pipeline.restart()
    await watched.until(lambda pipeline: pipeline.status().pid not in (0, before))
    assert watched.pipeline.restarts == 0
    assert not watched.events("pipeline.died")


async def test_it_finds_a_face_through_the_port_and_follows_the_spec(tmp_path: Path) -> None:
    files = {role: (EXAMPLE / f"face-detector.{role}").read_bytes() for role in ("xml", "bin")}
    detector = build(tmp_path / "built", Recipe(files)).spec
    async with runtime_here(tmp_path) as runtime:
        entrance = spec(str(EXAMPLE / "entrance.mp4"))
        first = RuntimeSpec(replicas=[detector], pipelines=[entrance])
        await runtime.control.Apply(first, timeout=WAIT_S)
        changed = (await runtime.until_journalled("detection.changed"))[0]
        assert changed.kind == "data"
        assert changed.subject == "entrance"
        assert changed.fields["count"] == "1"
        pid = (await runtime.now()).pipelines[0].pid
        await runtime.control.Apply(first, timeout=WAIT_S)
        assert (await runtime.now()).pipelines[0].pid == pid
        entrance.config = "2"
        again = RuntimeSpec(replicas=[detector], pipelines=[entrance])
        await runtime.control.Apply(again, timeout=WAIT_S)
        await runtime.until(lambda state: _runs_anew(runtime, pid))
        await runtime.control.Apply(RuntimeSpec(replicas=[detector]), timeout=WAIT_S)
        await runtime.until(lambda state: not state.pipelines)


def _runs_anew(runtime: RunningRuntime, before: int) -> bool:
    pipelines = runtime.state.pipelines
    return bool(pipelines) and pipelines[0].pid not in (0, before)
