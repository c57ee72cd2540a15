"""How much time is left for a request."""

import time
from dataclasses import dataclass

from node.runtime.limits import DEADLINE_S_DEFAULT, DEADLINE_S_MAX


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock, in seconds."""

    at: float

    @classmethod
    def after(cls, seconds: float | None) -> "Deadline":
        """`seconds` from now, as the caller said; None: it did not."""
        limit = DEADLINE_S_DEFAULT if seconds is None else min(seconds, DEADLINE_S_MAX)
        return cls(time.monotonic() + limit)

    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self.at - time.monotonic())
