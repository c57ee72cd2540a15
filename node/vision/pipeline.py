"""The pipeline's loop: wait until a frame is due, take it, ask the service, tell what is to tell.

One thread does one thing after the other, because a frame that waits is a frame out of date. It
shows that it is alive about once a second, also while a source is being tried again; when it
stops showing, something hangs in native code, which only a kill ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from node.vision.capture import Capture, Frame, SourceFailed
from node.vision.detections import Floats
from node.vision.journal import Changes, Fields, Summary, Trouble
from node.vision.limits import PROGRESS_EVERY_MS
from node.vision.pacing import Pacer, Retry
from node.vision.service import ServiceFailed
from node.vision.source_url import Source
from node.vision.spec import PipelineSpec

Emit = Callable[[str, str, Fields], None]
"""Prints one line: event, kind, fields."""


class Finder(Protocol):
    """What finds detections in a frame; raises ServiceFailed."""

    def find(self, frame: Frame) -> Floats:
        """Rows (x, y, w, h, score) in the frame's pixels, the best first."""
        ...


class Clock(Protocol):
    """Time, and the wish to end."""

    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        ...

    def is_over(self, wait_ms: int) -> bool:
        """Wait so long, or until the process is told to end; True: it is."""
        ...


@dataclass(slots=True)
class Totals:
    """Counts since the process began."""

    frames: int = 0
    inferences: int = 0
    failed: int = 0


class Pipeline:
    """Runs one pipeline until its clock says that it is over."""

    def __init__(
        self, spec: PipelineSpec, source: Source, service: Finder, emit: Emit, clock: Clock
    ) -> None:
        self._spec, self._source, self._service = spec, source, service
        self._emit, self._clock = emit, clock
        now_ms = clock.now_ms()
        self._pacer = Pacer(spec.every_ms, now_ms)
        self._retry = Retry(now_ms)
        self._changes = Changes()
        self._summary = Summary(now_ms)
        self._totals = Totals()
        self._troubles = {place: Trouble(place) for place in ("source", "service")}
        self._progress_due_ms = now_ms
        self._capture: Capture | None = None

    def run(self) -> None:
        """Take frames until told to end; then tell the last summary."""
        try:
            while not self._is_over_before_due():
                self._summary.late += self._pacer.take(self._clock.now_ms())
                frame = self._frame()
                if frame is not None:
                    self._look_at(frame)
        finally:
            self._tell_summary(self._clock.now_ms())
            self._close()

    def _is_over_before_due(self) -> bool:
        """Wait until a frame is due, showing life meanwhile. True: told to end."""
        while True:
            now_ms = self._clock.now_ms()
            self._tell_regular(now_ms)
            wait_ms = self._pacer.due_ms - now_ms
            if self._is_over_within(min(max(wait_ms, 0), PROGRESS_EVERY_MS)):
                return True
            if wait_ms <= PROGRESS_EVERY_MS:
                return False

    def _is_over_within(self, wait_ms: int) -> bool:
        """Wait so long; what a live source sends meanwhile is out of date, and dropped."""
        if self._capture is None or not self._capture.is_live:
            return self._clock.is_over(wait_ms)
        until_ms = self._clock.now_ms() + wait_ms
        try:
            self._capture.drop_until(lambda: self._clock.now_ms() >= until_ms)
        except SourceFailed as error:
            self._lost(error)
        return self._clock.is_over(0)

    def _frame(self) -> Frame | None:
        """Take a frame; None when the source gives none now."""
        now_ms = self._clock.now_ms()
        if self._capture is None and now_ms < self._retry.at_ms:
            return None
        try:
            if self._capture is None:
                self._capture = Capture(self._source)
            frame = self._capture.read()
        except SourceFailed as error:
            self._lost(error)
            return None
        self._retry.worked()
        self._worked("source")
        self._totals.frames += 1
        self._summary.frames += 1
        return frame

    def _lost(self, error: SourceFailed) -> None:
        """The source failed: let go of it, and try again later."""
        self._close()
        self._retry.failed(self._clock.now_ms())
        self._failed("source", str(error))

    def _look_at(self, frame: Frame) -> None:
        """Ask the service about a frame, and tell what changed."""
        try:
            found = self._service.find(frame)
        except ServiceFailed as error:
            self._totals.failed += 1
            self._summary.failed += 1
            self._failed("service", str(error))
            return
        self._worked("service")
        self._totals.inferences += 1
        self._summary.saw(len(found))
        best = float(found[0, 4]) if len(found) else 0.0
        change = self._changes.saw(len(found), self._totals.frames, best)
        if change is not None and self._spec.journal_on_change:
            self._emit("detection.changed", "data", change)

    def _tell_regular(self, now_ms: int) -> None:
        """Tell that the process lives, and the summary, when they are due."""
        if now_ms >= self._progress_due_ms:
            self._progress_due_ms = now_ms + PROGRESS_EVERY_MS
            self._emit("frame", "progress", self._progress())
        every_ms = self._spec.journal_summary_every_ms
        if every_ms and now_ms - self._summary.since_ms >= every_ms:
            self._tell_summary(now_ms)

    def _progress(self) -> Fields:
        reasons = [trouble.reason for trouble in self._troubles.values() if trouble.reason]
        phase = "running" if self._totals.inferences else "starting"
        return {
            "frames": str(self._totals.frames),
            "inferences": str(self._totals.inferences),
            "failed": str(self._totals.failed),
            "phase": "failing" if reasons else phase,
            "reason": reasons[0] if reasons else "",
        }

    def _tell_summary(self, now_ms: int) -> None:
        if self._spec.journal_summary_every_ms:
            self._emit("detection.summary", "data", self._summary.fields(now_ms))
            self._summary = Summary(now_ms)

    def _failed(self, place: str, reason: str) -> None:
        told = self._troubles[place].failed(reason, self._clock.now_ms())
        if told is not None:
            self._emit("pipeline.error", "record", told)

    def _worked(self, place: str) -> None:
        told = self._troubles[place].worked(self._clock.now_ms())
        if told is not None:
            self._emit("pipeline.recovered", "record", told)

    def _close(self) -> None:
        if self._capture is not None:
            self._capture.close()
            self._capture = None
