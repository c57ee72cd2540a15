"""How long to wait before the next attempt: doubling, capped, then fully jittered.

The jitter comes after the cap. Before it, everyone who waits for long waits for the same time, and
comes back in one herd (users-and-numbers: a 28-minute outage ended so for a fleet of servers).
"""

import random
from collections.abc import Callable


class Backoff:
    """The waits of one thing that is tried again for ever. Times in seconds; `max_s` may change.

    `draw(low, high)` gives a number between the two.
    """

    def __init__(
        self, first_s: float, max_s: float, draw: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first_s = first_s
        self.max_s = max_s
        self._draw = draw
        self._ceiling_s = min(first_s, max_s)

    def next_s(self) -> float:
        """The wait before the next attempt."""
        wait = self._draw(0, self._ceiling_s)
        self._ceiling_s = min(self._ceiling_s * 2, self.max_s)
        return wait

    def reset(self) -> None:
        """The attempt went well."""
        self._ceiling_s = min(self._first_s, self.max_s)
