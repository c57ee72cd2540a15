"""When the next frame is due, and when a source is tried again. Pure: time is an argument."""

from dataclasses import dataclass, field

from node.vision.limits import RETRY_MS_MAX, RETRY_MS_MIN


@dataclass(slots=True)
class Pacer:
    """Frames due at fixed moments. Moments that passed unused are counted, never caught up."""

    every_ms: int
    due_ms: int

    def take(self, now_ms: int) -> int:
        """Use the moment that is due, and set the next. Gives how many have passed unused."""
        late = max(0, now_ms - self.due_ms) // self.every_ms
        self.due_ms += (late + 1) * self.every_ms
        return late


@dataclass(slots=True)
class Retry:
    """Waits that double from RETRY_MS_MIN to RETRY_MS_MAX until something works."""

    at_ms: int = 0
    """Not before this."""
    _wait_ms: int = field(default=RETRY_MS_MIN)

    def failed(self, now_ms: int) -> None:
        """It did not work: wait, and longer the next time."""
        self.at_ms = now_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, RETRY_MS_MAX)

    def worked(self) -> None:
        """It worked: the next failure waits the shortest time again."""
        self._wait_ms = RETRY_MS_MIN
