"""Sources: real files, broken and hostile ones, and a real stream over HTTP."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.vision.capture import Capture, SourceFailed
from node.vision.source_url import parse_source
from tests.node.vision.support import HEIGHT, WIDTH, Serving

Write = Callable[[list[int]], Path]


def bright(capture: Capture) -> bool:
    return bool(capture.read().max() > 128)


def test_a_file_is_read_in_order_and_begins_again(video: Write) -> None:
    capture = Capture(parse_source(str(video([0, 1, 1, 0, 1]))))
    assert not capture.is_live
    assert [bright(capture) for _ in range(10)] == [False, True, True, False, True] * 2
    assert capture.read().shape == (HEIGHT, WIDTH, 3)
    capture.close()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"gone\.mp4: No such file"):
        Capture(parse_source(str(tmp_path / "gone.mp4")))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceFailed, match="no plain file"):
        Capture(parse_source(str(tmp_path / "pipe.mp4")))


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(SourceFailed, match=r"/dev/video99[67]"):
        Capture(parse_source("997"))


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00" * 4096], ids=repr)
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content[:4096])
    with pytest.raises(SourceFailed, match="no video that"):
        Capture(parse_source(str(path)))


def test_a_file_that_loses_its_frames_fails_and_does_not_spin(video: Write) -> None:
    path = video([1, 1])
    capture = Capture(parse_source(str(path)))
    capture.read()
    capture.read()
    path.write_bytes(b"gone")
    with pytest.raises(SourceFailed, match="no video that"):
        capture.read()


def test_frames_above_the_cap_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.y4m"
    path.write_bytes(b"YUV4MPEG2 W8192 H8192 F10:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(8192))
    with pytest.raises(SourceFailed, match="67108864 pixels, above"):
        Capture(parse_source(str(path)))


def test_a_playlist_in_a_file_opens_no_connection(
    tmp_path: Path, web: tuple[str, type[Serving]]
) -> None:
    url, handler = web
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceFailed):
        Capture(parse_source(str(path)))
    assert handler.asked == []


def test_a_live_source_drops_what_is_out_of_date(
    video: Write, web: tuple[str, type[Serving]]
) -> None:
    url, handler = web
    handler.content = video([0, 0, 0, 1]).read_bytes()
    capture = Capture(parse_source(f"{url}/v.mp4"))
    assert capture.is_live
    passed = iter([False, False, False, True])
    capture.drop_until(lambda: next(passed))
    assert bright(capture), "three frames were dropped"
    with pytest.raises(SourceFailed, match="no frame"):
        capture.read()
    with pytest.raises(SourceFailed, match="no more frames"):
        capture.drop_until(lambda: False)
    capture.close()


def test_a_stream_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(SourceFailed, match=r"http://127\.0\.0\.1:1/v cannot be reached"):
        Capture(parse_source("http://me:word@127.0.0.1:1/v"))
