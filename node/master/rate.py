"""A token bucket for each source of requests, in bounded memory."""

from collections import OrderedDict

SOURCES_MAX = 4096
"""Remembered at once, 1 MB. Beyond it the one that was quiet longest is forgotten: its bucket is
full again, unless that many sources all asked within the time that a bucket takes to fill."""


class SourceRates:
    """How many more requests each source may make now. Time is an argument, in milliseconds."""

    def __init__(self, burst: int, refill_ms: int) -> None:
        """`burst` requests at once, and one more every `refill_ms`."""
        self._burst = burst
        self._refill_ms = refill_ms
        self._full_at_ms: OrderedDict[str, int] = OrderedDict()

    def allow(self, source: str, now_ms: int) -> bool:
        """Whether `source` may make a request now; if so, it has made it."""
        full_at_ms = max(self._full_at_ms.get(source, now_ms), now_ms) + self._refill_ms
        if full_at_ms - now_ms > self._burst * self._refill_ms:
            return False
        self._full_at_ms[source] = full_at_ms
        self._full_at_ms.move_to_end(source)
        if len(self._full_at_ms) > SOURCES_MAX:
            self._full_at_ms.popitem(last=False)
        return True
