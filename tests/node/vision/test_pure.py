"""What a pipeline decides: specs, sources, pacing, what it tells, merging of windows."""

import json
from typing import Any

import numpy as np
import pytest

from mesh.desired import resources
from node.vision import limits
from node.vision.detections import detections
from node.vision.journal import Changes, Summary, Trouble
from node.vision.limits import CANDIDATES_MAX, TROUBLE_EVERY_MS
from node.vision.pacing import Pacer, Retry
from node.vision.source_url import BadSource, parse_source
from node.vision.spec import BadSpec, read_spec

SPEC = {
    "workload": "entrance", "source_url": "/videos/entrance.mp4", "service": "faces",
    "every_ms": 200, "journal_on_change": True, "journal_summary_every_ms": 10_000,
    "threshold": 0, "inference_address": "127.0.0.1:7410",
}  # fmt: skip


def test_a_spec_is_read_and_unknown_keys_are_ignored() -> None:
    spec = read_spec(json.dumps(SPEC | {"config": "abc"}).encode())
    assert (spec.service, spec.every_ms, spec.threshold) == ("faces", 200, 0.0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[" * 100_000, "larger than", id="too large"),
        pytest.param(b"[" * 50_000, "not JSON", id="nested too deep"),
        pytest.param(b"[]", "not an object", id="a list"),
        pytest.param(b"{}", "has no workload", id="a key is missing"),
        pytest.param(json.dumps(SPEC | {"every_ms": "1s"}).encode(), "expected int", id="a string"),
        pytest.param(json.dumps(SPEC | {"every_ms": True}).encode(), "expected int", id="a truth"),
        pytest.param(json.dumps(SPEC | {"every_ms": 1}).encode(), "at least 10", id="too often"),
    ],
)
def test_a_bad_spec_says_why(line: bytes, says: str) -> None:
    with pytest.raises(BadSpec, match=says):
        read_spec(line)


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        pytest.param("/a b/v.mp4", "file", "/a b/v.mp4", id="a path"),
        pytest.param("file:///a%20b/v.mp4", "file", "/a b/v.mp4", id="a file URL"),
        pytest.param("0", "device", "/dev/video0", id="a number"),
        pytest.param("/dev/video2", "device", "/dev/video2", id="a device"),
        pytest.param("rtsp://cam/1", "stream", "rtsp://cam/1", id="a camera"),
        pytest.param("https://cam/s.mjpg", "stream", "https://cam/s.mjpg", id="a web camera"),
    ],
)
def test_a_source_is_recognised(url: str, kind: str, target: str) -> None:
    source = parse_source(url)
    assert (source.kind, source.target) == (kind, target)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("", "scheme none", id="nothing"),
        pytest.param("video.mp4", "scheme none", id="a relative path"),
        pytest.param("concat:/a|/b", "scheme concat", id="a protocol of FFmpeg's own"),
        pytest.param("file://host/v.mp4", "scheme file", id="a file elsewhere"),
        pytest.param("rtsp:///1", "scheme rtsp", id="no host"),
        pytest.param("rtsp://[::1", "cannot be read", id="not a URL"),
        pytest.param("http://cam:port/", "cannot be read", id="a port that is none"),
    ],
)
def test_what_is_no_source_is_refused(url: str, says: str) -> None:
    with pytest.raises(BadSource, match=says):
        parse_source(url)


def test_secrets_of_a_url_are_not_shown() -> None:
    assert parse_source("rtsp://me:word@cam:554/1?token=x").shown == "rtsp://cam:554/1"
    assert parse_source("/v.mp4").shown == "/v.mp4"


def test_a_stream_opens_no_file_and_a_file_no_connection() -> None:
    assert parse_source("/v.mp4").protocols == "file"
    assert "file" not in parse_source("http://cam/1").protocols


def test_pacing_skips_what_passed_and_says_how_much() -> None:
    pacer = Pacer(200, 1000)
    assert (pacer.take(1000), pacer.due_ms) == (0, 1200)
    assert (pacer.take(1399), pacer.due_ms) == (0, 1400)
    assert (pacer.take(2000), pacer.due_ms) == (3, 2200), "1400, 1600, 1800 passed; 2000 is used"


def test_a_retry_waits_longer_each_time_until_it_worked() -> None:
    retry = Retry()
    waits = []
    for _ in range(8):
        retry.failed(0)
        waits.append(retry.at_ms)
    assert waits == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    retry.worked()
    retry.failed(10_000)
    assert retry.at_ms == 10_500


def test_a_change_is_told_when_it_stays() -> None:
    changes = Changes()
    told = [changes.saw(count, frame, 0.9) for frame, count in enumerate([0, 0, 1, 0, 0, 2, 2, 2])]
    assert told[1] == {"frame": "1", "before": "", "count": "0", "best_score": "0.900"}
    assert told[6] == {"frame": "6", "before": "0", "count": "2", "best_score": "0.900"}
    assert [number for number, fields in enumerate(told) if fields] == [1, 6]


def test_a_summary_counts() -> None:
    summary = Summary(1000)
    assert summary.fields(2000)["detections_mean"] == "0.00"
    summary.frames, summary.failed, summary.late = 4, 1, 2
    for count in (0, 1, 3):
        summary.saw(count)
    assert summary.fields(11_000) == {
        "interval_ms": "10000", "frames": "4", "late": "2", "inferences": "3", "failed": "1",
        "detections_max": "3", "detections_mean": "1.33",
    }  # fmt: skip


def test_trouble_is_told_once_and_so_is_its_end() -> None:
    trouble = Trouble("source")
    assert trouble.worked(0) is None
    told = trouble.failed("x" * 1000, 100)
    assert told is not None
    assert (told["place"], len(told["reason"]), told["untold"]) == ("source", 200, "0")
    assert trouble.failed("gone", 200) is None
    assert trouble.worked(600) == {"place": "source", "after_ms": "500"}
    assert trouble.reason == ""


def test_flapping_is_told_seldom_and_counted() -> None:
    trouble = Trouble("source")
    told = 0
    for now_ms in range(0, 3 * TROUBLE_EVERY_MS, 100):
        told += trouble.failed("gone", now_ms) is not None
        told += trouble.worked(now_ms + 50) is not None
    assert told == 6, "three errors, three recoveries"
    last = trouble.failed("gone", 3 * TROUBLE_EVERY_MS)
    assert last is not None
    assert last["untold"] == str(TROUBLE_EVERY_MS // 100 - 1)


def merged(rows: list[list[float]], threshold: float = 0.5) -> Any:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return detections(table[None, :, :4], table[None, :, 4], threshold)


def thrice(*row: float) -> list[list[float]]:
    """A window that two others agree with."""
    return [list(row)] * 3


def test_windows_that_agree_are_one_detection() -> None:
    found = merged([[10, 10, 20, 20, 0.8], [12, 10, 20, 20, 0.9], [14, 10, 20, 20, 0.7]])
    assert found.tolist() == [[12, 10, 20, 20, pytest.approx(0.9)]]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        pytest.param([], 0, id="no windows"),
        pytest.param(thrice(0, 0, 9, 9, 0.4), 0, id="below the threshold"),
        pytest.param(thrice(0, 0, 9, 9, 0.5), 1, id="at the threshold"),
        pytest.param(thrice(0, 0, 9, 9, 0.9)[:2], 0, id="two agree: chance"),
        pytest.param(thrice(0, 0, 9, 9, np.nan), 0, id="a score that is no number"),
        pytest.param(thrice(0, np.inf, 9, 9, 0.9), 0, id="a box that is nowhere"),
        pytest.param(thrice(0, 0, -9, 9, 0.9), 0, id="a box of negative size"),
        pytest.param(thrice(0, 0, 9, 9, 0.9) + thrice(50, 50, 9, 9, 0.8), 2, id="far apart"),
        pytest.param(thrice(0, 0, 40, 40, 0.9) + thrice(10, 10, 9, 9, 0.8), 1, id="a part"),
        pytest.param(
            [window for x in range(CANDIDATES_MAX) for window in thrice(x, 0, 1, 1, 0.9)],
            CANDIDATES_MAX // 3,
            id="too many",
        ),
    ],
)
def test_windows_become_detections(rows: list[list[float]], count: int) -> None:
    assert len(merged(rows)) == count


def test_a_resource_may_ask_for_no_more_pictures_than_the_process_takes() -> None:
    assert resources.EVERY_MS_MIN == limits.EVERY_MS_MIN
