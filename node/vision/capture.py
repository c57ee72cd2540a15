"""A source, open: frames by OpenCV.

A file is read frame by frame and begins again at its end. A device or a stream goes on by itself,
so what came before a frame is due is dropped, or the picture would fall behind more and more.
Frames are hostile: only FFmpeg and V4L2 look at them, with a cap on pixels, and with the
protocols that the source needs.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from node.vision.limits import OPEN_TIMEOUT_MS, PIXELS_MAX, READ_TIMEOUT_MS
from node.vision.source_url import Source

Frame = NDArray[np.uint8]


class SourceFailed(Exception):
    """The source gives no frames; the text says why. Trying again later may help."""


class Capture:
    """One open source. Raises SourceFailed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._video = _open(source)
        pixels = self._property(cv2.CAP_PROP_FRAME_WIDTH) * self._property(
            cv2.CAP_PROP_FRAME_HEIGHT
        )
        if pixels > PIXELS_MAX:
            self.close()
            raise SourceFailed(
                f"{source.shown} has frames of {pixels:.0f} pixels, above {PIXELS_MAX}"
            )

    @property
    def is_live(self) -> bool:
        """Whether the source goes on by itself."""
        return self._source.kind != "file"

    def drop_until(self, is_due: Callable[[], bool]) -> None:
        """Drop frames of a live source until the next one is due. Waits for each to come."""
        while not is_due():
            try:
                good = self._video.grab()
            except cv2.error as error:
                raise SourceFailed(f"{self._source.shown}: {error}") from error
            if not good:
                raise SourceFailed(f"{self._source.shown} gives no more frames")

    def read(self) -> Frame:
        """The next frame, uint8 [height, width, 3] in BGR."""
        try:
            good, frame = self._video.read()
            if not good and not self.is_live:
                self._video.release()
                self._video = _open(self._source)
                good, frame = self._video.read()
        except cv2.error as error:
            raise SourceFailed(f"{self._source.shown}: {error}") from error
        if not good or frame is None:
            raise SourceFailed(f"{self._source.shown} gives no frame that can be decoded")
        return self._checked(np.asarray(frame))

    def close(self) -> None:
        """Let go of the file, device or connection."""
        self._video.release()

    def _property(self, name: int) -> float:
        return float(self._video.get(name))

    def _checked(self, frame: NDArray[Any]) -> Frame:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise SourceFailed(
                f"{self._source.shown} gives frames of {frame.dtype} {frame.shape}, not BGR"
            )
        if frame.shape[0] * frame.shape[1] > PIXELS_MAX:
            raise SourceFailed(f"{self._source.shown} gives frames above {PIXELS_MAX} pixels")
        return frame


def _open(source: Source) -> cv2.VideoCapture:
    # OpenCV takes FFmpeg's options from the environment only, each time it opens something.
    options = f"protocol_whitelist;{source.protocols}"
    if source.protocols.startswith("rtsp"):
        options += "|rtsp_transport;tcp"
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = options
    if source.kind != "stream":
        _check_path(source)
    try:
        video = cv2.VideoCapture(source.target, *_how(source))
    except cv2.error as error:
        raise SourceFailed(f"{source.shown} cannot be opened: {error}") from error
    if not video.isOpened():
        raise SourceFailed(_why_not(source))
    return video


def _how(source: Source) -> tuple[int, list[int]]:
    """The backend of OpenCV that opens a source, and its settings."""
    if source.kind == "device":
        return cv2.CAP_V4L2, []
    return cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_N_THREADS, 1,
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS,
    ]  # fmt: skip


def _check_path(source: Source) -> None:
    """Refuse what is not what it should be: opening a named pipe, say, would wait for ever."""
    right = stat.S_ISREG if source.kind == "file" else stat.S_ISCHR
    try:
        mode = os.stat(source.target).st_mode
    except OSError as error:
        raise SourceFailed(
            f"{source.target}: {error.strerror}; see the node's [sources]"
        ) from error
    if not right(mode):
        kind = "plain file" if source.kind == "file" else "video device"
        raise SourceFailed(f"{source.target} is no {kind}; see the node's [sources]")


def _why_not(source: Source) -> str:
    if source.kind == "file":
        return f"{source.target} is no video that this build of OpenCV can decode"
    if source.kind == "device":
        return f"{source.target} cannot be opened: it is in use, or is no camera"
    return f"{source.shown} cannot be reached, or sends no video"
