"""What a pipeline has to tell: changes, summaries, troubles. Pure: time is an argument.

Each gives the fields of an event, or None when there is nothing to tell. Values are strings,
because that is what a journal's fields are.
"""

from dataclasses import dataclass

from node.vision.limits import CHANGE_FRAMES, REASON_CHARACTERS_MAX, TROUBLE_EVERY_MS

Fields = dict[str, str]


@dataclass(slots=True)
class Changes:
    """Tells when the number of detections has changed and stayed so for CHANGE_FRAMES frames."""

    told: int | None = None
    """The number told last; None: none yet."""
    _next: int = -1
    _agreeing: int = 0

    def saw(self, count: int, frame: int, best_score: float) -> Fields | None:
        """Note the detections of one frame."""
        self._agreeing = self._agreeing + 1 if count == self._next else 1
        self._next = count
        if self._agreeing < CHANGE_FRAMES or count == self.told:
            return None
        before = "" if self.told is None else str(self.told)
        self.told = count
        score = f"{best_score:.3f}"
        return {"frame": str(frame), "before": before, "count": str(count), "best_score": score}


@dataclass(slots=True)
class Summary:
    """Counts over one interval."""

    since_ms: int
    frames: int = 0
    late: int = 0
    """Frames that were due but not taken, because the one before took too long."""
    inferences: int = 0
    failed: int = 0
    """Frames for which the service gave no usable answer."""
    detections: int = 0
    detections_max: int = 0

    def saw(self, count: int) -> None:
        """Note one answer."""
        self.inferences += 1
        self.detections += count
        self.detections_max = max(self.detections_max, count)

    def fields(self, now_ms: int) -> Fields:
        """The counts, as told."""
        mean = self.detections / self.inferences if self.inferences else 0.0
        return {
            "interval_ms": str(now_ms - self.since_ms),
            "frames": str(self.frames),
            "late": str(self.late),
            "inferences": str(self.inferences),
            "failed": str(self.failed),
            "detections_max": str(self.detections_max),
            "detections_mean": f"{mean:.2f}",
        }


@dataclass(slots=True)
class Trouble:
    """Whether one place (source, service) works; tells when that changes, and not too often."""

    place: str
    reason: str = ""
    """Why it does not work now; empty: it works."""
    _since_ms: int = 0
    _told_ms: int | None = None
    _is_told: bool = False
    _untold: int = 0

    def failed(self, reason: str, now_ms: int) -> Fields | None:
        """Note a failure; told once, until it works again."""
        if not self.reason:
            self._since_ms = now_ms
        self.reason = reason[:REASON_CHARACTERS_MAX]
        if self._is_told:
            return None
        if self._told_ms is not None and now_ms - self._told_ms < TROUBLE_EVERY_MS:
            self._untold += 1
            return None
        untold, self._untold = self._untold, 0
        self._told_ms, self._is_told = now_ms, True
        return {"place": self.place, "reason": self.reason, "untold": str(untold)}

    def worked(self, now_ms: int) -> Fields | None:
        """Note that it works; told if the failure was."""
        was_told, self._is_told, self.reason = self._is_told, False, ""
        if not was_told:
            return None
        return {"place": self.place, "after_ms": str(now_ms - self._since_ms)}
