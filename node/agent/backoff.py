"""How long to wait before the next attempt: doubling, capped, then fully jittered.

The jitter comes after the cap. Before it, everyone who waits for long waits for the same time, and
comes back in one herd (users-and-numbers: a 28-minute outage ended so for a fleet of servers).
"""

import random


class Backoff:
    """The waits of one thing that is tried again for ever. Times in seconds."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._ceiling_s = first_s

    def next_s(self) -> float:
        """The wait before the next attempt."""
        wait = random.uniform(0, self._ceiling_s)
        self._ceiling_s = min(self._ceiling_s * 2, self._max_s)
        return wait

    def reset(self) -> None:
        """The attempt went well."""
        self._ceiling_s = self._first_s
