"""Fixtures: real videos and a real inference server."""

import http.server
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.node.vision.support import HEIGHT, WIDTH, Serving, SquareDetector, frame_with, serving


@pytest.fixture
def video(tmp_path: Path) -> Callable[[list[int]], Path]:
    """Writes a video whose frames show so many squares."""

    def write(shown: list[int]) -> Path:
        path = tmp_path / "square.mp4"
        code: Any = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(path), code, 10, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for squares in shown:
            writer.write(frame_with(squares))
        writer.release()
        return path

    return write


@pytest.fixture
def detector() -> SquareDetector:
    return SquareDetector()


@pytest.fixture
async def address(detector: SquareDetector) -> AsyncIterator[str]:
    async with serving(detector) as address:
        yield address


@pytest.fixture
def web() -> Iterator[tuple[str, type[Serving]]]:
    handler = type("Handler", (Serving,), {"asked": [], "content": b""})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()
