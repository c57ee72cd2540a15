"""Scaling: how many replicas of a service there should be, between the plan's `min` and `max`.

The measure is the queueing delay that nodes publish with their load. The lower median of the nodes
that serve counts, so that one node which lies of three or more moves nothing; of two it can hold a
step up back, and one that serves alone is believed. Above the plan's `queueDelay` for
`UP_AFTER_MS`, one more; below a quarter of it for the plan's `downAfter`, one less; in between,
nothing: that is the hysteresis.

One node keeps the count: the first by rendezvous among the live ones. It says it in its register.
Whoever follows it adopts the highest count that any register says, and steps down from there by
hysteresis, so that a change of keeper never takes a replica away at once. Whatever a register
claims is bounded by the plan: a keeper that lies can choose between `min` and `max`, no more.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mesh.hashing import first
from protos.documents_pb2 import ServicePlan

UP_AFTER_MS = 3_000
STEP_MS = 5_000
"""Between two steps up: a new replica must have had time to serve before it is judged."""
LOW_SHARE = 4
"""A delay below 1/4 of the plan's is low: one replica less would still be within it."""


def keeper(service: str, live: Collection[str]) -> str | None:
    """The node that keeps the count."""
    return first(f"count {service}", live)


def bounded(count: int, service: ServicePlan) -> int:
    """`count` within what the plan allows, whatever a register claims."""
    return max(service.replicas_min, min(count, service.replicas_max))


def agreed(service: ServicePlan, live: Collection[str], said: Mapping[str, int]) -> int:
    """The count that everybody goes by: the keeper's, or, while it has not spoken, the highest
    that a live node says. `said`: node to the count in its register."""
    keeping = keeper(service.name, live)
    if keeping is not None and keeping in said:
        return bounded(said[keeping], service)
    highest = max((said[node] for node in live if node in said), default=service.replicas_min)
    return bounded(highest, service)


def delay(delays_ms: Iterable[int]) -> int:
    """The queueing delay of a service from those of its nodes (ms): their lower median."""
    values: Sequence[int] = sorted(delays_ms)
    return int(statistics.median_low(values)) if values else 0


@dataclass
class Scaler:
    """The count of one service, as its keeper keeps it."""

    count: int
    _high_since_ms: int | None = None
    _low_since_ms: int | None = None
    _stepped_ms: int | None = None

    def update(self, service: ServicePlan, delay_ms: int, now_ms: int) -> str:
        """Takes the delay of now; returns why the count changed, or nothing."""
        before, self.count = self.count, bounded(self.count, service)
        if self.count != before:
            return "the plan's bounds changed"
        high = service.queue_delay_ms > 0 and delay_ms > service.queue_delay_ms
        low = delay_ms * LOW_SHARE <= service.queue_delay_ms
        self._high_since_ms = _since(self._high_since_ms, high, now_ms)
        self._low_since_ms = _since(self._low_since_ms, low, now_ms)
        if self._may_grow(service, now_ms):
            self._step(+1, now_ms)
            return f"{delay_ms} ms in the queue, more than {service.queue_delay_ms} ms"
        if self._may_shrink(service, now_ms):
            self._step(-1, now_ms)
            return f"{delay_ms} ms in the queue, low for {service.down_after_ms} ms"
        return ""

    def _may_grow(self, service: ServicePlan, now_ms: int) -> bool:
        if self._high_since_ms is None or self.count >= service.replicas_max:
            return False
        rested = self._stepped_ms is None or now_ms - self._stepped_ms >= STEP_MS
        return rested and now_ms - self._high_since_ms >= UP_AFTER_MS

    def _may_shrink(self, service: ServicePlan, now_ms: int) -> bool:
        if self._low_since_ms is None or self.count <= service.replicas_min:
            return False
        return now_ms - self._low_since_ms >= service.down_after_ms

    def _step(self, by: int, now_ms: int) -> None:
        self.count += by
        self._stepped_ms = now_ms
        self._high_since_ms = self._low_since_ms = None


def _since(since_ms: int | None, holds: bool, now_ms: int) -> int | None:
    """Since when a condition holds; None if it does not."""
    if not holds:
        return None
    return now_ms if since_ms is None else since_ms
