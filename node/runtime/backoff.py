"""When a child that ended may start again. Pure: time and chance are arguments.

The first end after a healthy run costs nothing: something killed it, and it heals at once. From
then on, and for what never was healthy, the delay doubles, with jitter, up to a cap.
"""

from dataclasses import dataclass

from node.runtime.limits import (
    BACKOFF_JITTER,
    BACKOFF_S_MAX,
    BACKOFF_S_MIN,
    HEALTHY_AFTER_S,
)


@dataclass(slots=True)
class Backoff:
    """The ends in a row that no healthy run came between."""

    failures: int = 0

    def after_end(self, served_s: float, chance: float) -> float:
        """Seconds to wait, for a child that served `served_s` seconds. `chance` is in 0..1."""
        if served_s >= HEALTHY_AFTER_S:
            self.failures = 0
            return 0.0
        self.failures += 1
        doubled = BACKOFF_S_MIN * 2.0 ** min(self.failures - 1, 16)
        return min(doubled, BACKOFF_S_MAX) * (1 - BACKOFF_JITTER * chance)
