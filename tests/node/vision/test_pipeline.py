"""The pipeline's loop by virtual time on real videos, and the whole process in real time."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.vision.capture import Frame
from node.vision.detections import Floats
from node.vision.journal import Fields
from node.vision.pipeline import Pipeline
from node.vision.service import ServiceFailed
from node.vision.source_url import parse_source
from node.vision.spec import PipelineSpec
from tests.node.vision.support import Serving, SquareDetector

DEADLINE_S = 20.0
Write = Callable[[list[int]], Path]


class VirtualClock:
    """Time passes by waiting only, until `end_ms`."""

    def __init__(self, end_ms: int) -> None:
        self.ms, self.end_ms = 0, end_ms
        self.at: dict[int, Callable[[], None]] = {}

    def now_ms(self) -> int:
        return self.ms

    def is_over(self, wait_ms: int) -> bool:
        assert 0 <= wait_ms <= 1000, "life is shown at least once a second"
        self.ms += wait_ms
        for moment in [moment for moment in self.at if moment <= self.ms]:
            self.at.pop(moment)()
        return self.ms >= self.end_ms


class BrightFinder:
    """Finds one detection in a frame that has something white; takes its time, or refuses."""

    def __init__(self, clock: VirtualClock, takes_ms: int = 0) -> None:
        self.clock, self.takes_ms, self.refuses = clock, takes_ms, False

    def find(self, frame: Frame) -> Floats:
        self.clock.ms += self.takes_ms
        if self.refuses:
            raise ServiceFailed("squares: UNAVAILABLE: no replica")
        return np.full((int(frame.max() > 128), 5), 0.9, np.float32)


def spec_of(url: str, **more: Any) -> PipelineSpec:
    values: dict[str, Any] = {
        "workload": "entrance", "source_url": url, "service": "squares", "every_ms": 100,
        "journal_on_change": True, "journal_summary_every_ms": 1000, "threshold": 0.0,
        "inference_address": "",
    }  # fmt: skip
    return PipelineSpec(**values | more)


Told = list[tuple[int, str, str, Fields]]


def run(spec: PipelineSpec, clock: VirtualClock, finder: BrightFinder) -> Told:
    told: Told = []

    def emit(event: str, kind: str, fields: Fields) -> None:
        told.append((clock.ms, event, kind, fields))

    Pipeline(spec, parse_source(spec.source_url), finder, emit, clock).run()
    return told


def only(told: Told, event: str) -> list[tuple[int, Fields]]:
    return [(ms, fields) for ms, name, _, fields in told if name == event]


def test_takes_frames_at_their_pace_and_tells_changes(video: Write) -> None:
    clock = VirtualClock(2000)
    told = run(spec_of(str(video([0] * 5 + [1] * 5))), clock, BrightFinder(clock))
    changes = [
        (ms, fields["before"], fields["count"]) for ms, fields in only(told, "detection.changed")
    ]
    assert changes == [(100, "", "0"), (600, "0", "1"), (1100, "1", "0"), (1600, "0", "1")]
    summaries = [fields for _, fields in only(told, "detection.summary")]
    assert [fields["frames"] for fields in summaries] == ["11", "9"], "one, and one at the end"
    assert summaries[0]["detections_mean"] == "0.45"
    assert {kind for _, event, kind, _ in told if event.startswith("detection")} == {"data"}


def test_shows_life_each_second_even_when_frames_are_rare(video: Write) -> None:
    clock = VirtualClock(5000)
    spec = spec_of(str(video([1])), every_ms=4000, journal_summary_every_ms=0)
    told = run(spec, clock, BrightFinder(clock))
    assert [ms for ms, _ in only(told, "frame")] == [0, 1000, 2000, 3000, 4000]
    assert only(told, "detection.summary") == []
    assert only(told, "frame")[-1][1]["phase"] == "running"
    assert only(told, "frame")[0][1]["phase"] == "starting"


def test_says_nothing_of_changes_where_not_asked(video: Write) -> None:
    clock = VirtualClock(1000)
    told = run(spec_of(str(video([1])), journal_on_change=False), clock, BrightFinder(clock))
    assert only(told, "detection.changed") == []


def test_a_slow_service_makes_frames_late_and_they_are_counted(video: Write) -> None:
    clock = VirtualClock(1000)
    told = run(spec_of(str(video([1]))), clock, BrightFinder(clock, takes_ms=250))
    fields = only(told, "detection.summary")[0][1]
    assert (fields["frames"], fields["late"]) == ("4", "4")


def test_a_missing_source_is_told_once_retried_and_its_return_told(
    video: Write, tmp_path: Path
) -> None:
    path = video([1])
    hidden = path.rename(tmp_path / "hidden.mp4")
    clock = VirtualClock(4000)

    def bring_back() -> None:
        hidden.rename(path)

    clock.at[2000] = bring_back
    told = run(spec_of(str(path)), clock, BrightFinder(clock))
    errors = only(told, "pipeline.error")
    assert [(ms, fields["place"]) for ms, fields in errors] == [(0, "source")]
    assert "No such file" in errors[0][1]["reason"]
    recovered = only(told, "pipeline.recovered")
    assert [(ms, fields["after_ms"]) for ms, fields in recovered] == [(3500, "3500")]
    phases = [fields["phase"] for _, fields in only(told, "frame")]
    assert phases == ["starting", "failing", "failing", "failing"]


def test_a_failing_service_is_told_and_counted(video: Write) -> None:
    clock = VirtualClock(1000)
    finder = BrightFinder(clock)
    clock.at[300] = lambda: setattr(finder, "refuses", True)
    clock.at[600] = lambda: setattr(finder, "refuses", False)
    told = run(spec_of(str(video([1]))), clock, finder)
    assert [(ms, f["reason"]) for ms, f in only(told, "pipeline.error")] == [
        (300, "squares: UNAVAILABLE: no replica")
    ]
    assert [(ms, f["place"]) for ms, f in only(told, "pipeline.recovered")] == [(600, "service")]
    fields = only(told, "detection.summary")[0][1]
    assert (fields["inferences"], fields["failed"]) == ("7", "3")
    assert {kind for _, event, kind, _ in told if event.startswith("pipeline")} == {"record"}


def test_a_live_source_that_ends_is_told_and_tried_again(
    video: Write, web: tuple[str, type[Serving]]
) -> None:
    url, handler = web
    handler.content = video([1, 1, 1]).read_bytes()
    clock = VirtualClock(900)
    told = run(spec_of(f"{url}/v.mp4"), clock, BrightFinder(clock))
    errors = [(ms, fields["reason"]) for ms, fields in only(told, "pipeline.error")]
    assert errors == [(0, f"{url}/v.mp4 gives no more frames")]
    assert [ms for ms, _ in only(told, "pipeline.recovered")] == [500]


@contextlib.asynccontextmanager
async def process(line: bytes) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node.vision", stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert running.stdin is not None
    running.stdin.write(line + b"\n")
    yield running
    if running.returncode is None:
        running.kill()
    await running.communicate()


def line_of(spec: PipelineSpec) -> bytes:
    names = PipelineSpec.__dataclass_fields__
    return json.dumps({name: getattr(spec, name) for name in names}).encode()


async def told_by(running: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    assert running.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        while line := await running.stdout.readline():
            document = dict(json.loads(line))
            if document["event"] == event:
                return document
    raise AssertionError(f"the process ended without {event}")


async def test_the_process_finds_tells_and_ends_on_request(
    video: Write, detector: SquareDetector, address: str
) -> None:
    spec = spec_of(str(video([1])), inference_address=address, every_ms=20)
    async with process(line_of(spec)) as running:
        changed = await told_by(running, "detection.changed")
        assert (changed["kind"], changed["fields"]["count"]) == ("data", "1")
        assert int((await told_by(running, "detection.summary"))["fields"]["inferences"]) > 5
        running.terminate()
        last = await told_by(running, "detection.summary")
        assert last["fields"]["failed"] == "0"
        async with asyncio.timeout(DEADLINE_S):
            assert await running.wait() == 0
    assert detector.inferences > 5


async def test_the_process_ends_when_nobody_reads(video: Write, address: str) -> None:
    spec = spec_of(str(video([1])), inference_address=address, every_ms=20)
    async with process(line_of(spec)) as running:
        await told_by(running, "frame")
        process_inside: Any = running
        process_inside._transport.get_pipe_transport(1).close()
        async with asyncio.timeout(DEADLINE_S):
            assert await running.wait() == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param(b"{}", b"has no workload", id="a bad spec"),
        pytest.param(line_of(spec_of("gopher://x/y")), b"names no source", id="a bad source"),
    ],
)
async def test_the_process_refuses_what_it_cannot_use(line: bytes, says: bytes) -> None:
    async with process(line) as running:
        _, errors = await running.communicate()
        assert running.returncode == 2
    assert says in errors
