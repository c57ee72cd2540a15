"""Token buckets: how much one peer may cost.

A bucket holds at most `burst` tokens and gains `per_s` each second. It either refuses (`take`) or
lets the taker run into debt and says how long to wait for it to be paid (`wait_after`).
Times are seconds of a monotonic clock, given by the caller.
"""

from collections.abc import Hashable


class Bucket:
    """One budget."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, amount: float, now: float) -> bool:
        """Takes `amount` if it is there; else takes nothing and says False."""
        self._fill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def wait_after(self, amount: float, now: float) -> float:
        """Takes `amount`, there or not; the seconds until the debt is paid, 0 if there is none."""
        self._fill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self._per_s)

    def _fill(self, now: float) -> None:
        since = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._burst, self._tokens + since * self._per_s)


class Budgets:
    """A bucket for each of many takers; the one not seen for longest is forgotten first."""

    def __init__(self, per_s: float, burst: float, takers_max: int) -> None:
        self._shape = (per_s, burst)
        self._takers_max = takers_max
        self._buckets: dict[Hashable, Bucket] = {}

    def take(self, taker: Hashable, now: float) -> bool:
        """Takes one token from the taker's bucket; False if it is empty."""
        bucket = self._buckets.pop(taker, None) or Bucket(*self._shape)
        if len(self._buckets) >= self._takers_max:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[taker] = bucket  # last: seen most recently
        return bucket.take(1.0, now)
