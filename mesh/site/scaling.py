"""Scaling: how many replicas of a service there should be, between the plan's `min` and `max`.

The measure is the queueing delay that nodes publish with their load. The lower median of the nodes
that serve counts, so that one node which lies of three or more moves nothing; of two it can hold a
step up back, and one that serves alone is believed. Above the plan's `queueDelay` for
`UP_AFTER_MS`, one more; below a quarter of it for the plan's `downAfter`, one less; in between,
nothing: that is the hysteresis. What a node said once is no load of now: where one that serves is
not heard, the count changes only if it would whatever that node said.

One node keeps the count: the first by rendezvous among the live ones. It says it in its register.
Whoever follows it, or starts anew, adopts the highest count that any register says, or as many as
serve, and steps down from there by hysteresis, so that no replica is taken away at once. Whatever
a register claims is bounded by the plan: a keeper that lies can choose between `min` and `max`.

Where the plan's `min` is 0, the last replica goes as well, once no node that serves has had a
request for `downAfter`: the service is *asleep*. Any live node wakes it by saying in its register
that a request waits there: from then on everybody counts at least one, before its keeper has heard
of it, and the keeper takes it up. A configuration that nobody in the site has tried yet is awake
until it has passed its gate or failed it, so that the first request meets none that is untested.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mesh.hashing import first
from protos.documents_pb2 import ServicePlan

UP_AFTER_MS = 3_000
STEP_MS = 5_000
"""Between two steps up: a new replica must have had time to serve before it is judged."""
LOW_SHARE = 4
"""A delay below 1/4 of the plan's is low: one replica less would still be within it."""
UNHEARD_MS = 1 << 62
"""The most that a node which is not heard may have in its queue: above what any can say."""


def keeper(service: str, live: Collection[str]) -> str | None:
    """The node that keeps the count."""
    return first(f"count {service}", live)


def bounded(count: int, service: ServicePlan) -> int:
    """`count` within what the plan allows, whatever a register claims."""
    return max(service.replicas_min, min(count, service.replicas_max))


def agreed(
    service: ServicePlan,
    live: Collection[str],
    said: Mapping[str, int],
    wanted: bool = False,
    serving: int = 0,
) -> int:
    """The count that everybody goes by: the keeper's, or, while it has not spoken, the highest
    that a live node says, and what serves. `said`: node to the count in its register; `wanted`: a
    request waits for the service at a live node; `serving`: replicas that serve on live nodes, so
    that a keeper which dies or starts anew takes nothing away before another one knows."""
    keeping = keeper(service.name, live)
    if keeping is not None and keeping in said:
        return bounded(max(said[keeping], int(wanted)), service)
    highest = max((said[node] for node in live if node in said), default=service.replicas_min)
    return bounded(max(highest, int(wanted), serving), service)


def may_sleep(service: ServicePlan) -> bool:
    """Whether the plan allows the service no replica at all, and one when it is asked for."""
    return service.replicas_min == 0 and service.replicas_max > 0


class Delay(NamedTuple):
    """The queueing delay of a service (ms): between these, whatever nodes would say that are not
    heard. Where all are heard the two are equal."""

    least: int
    most: int


def delay(delays_ms: Iterable[int | None]) -> Delay:
    """The queueing delay of a service from those of its nodes (ms): their lower median. None: the
    node is not heard, and may have nothing in its queue or any number."""
    said = list(delays_ms)
    if not said:
        return Delay(0, 0)
    return Delay(
        statistics.median_low([0 if one is None else one for one in said]),
        statistics.median_low([UNHEARD_MS if one is None else one for one in said]),
    )


@dataclass
class Scaler:
    """The count of one service, as its keeper keeps it."""

    count: int
    _high_since_ms: int | None = None
    _low_since_ms: int | None = None
    _stepped_ms: int | None = None

    def update(
        self,
        service: ServicePlan,
        delay_ms: Delay,
        now_ms: int,
        needed: str = "",
        idle: bool = False,
    ) -> str:
        """Takes the delay of now; returns why the count changed, or nothing. `needed`: why one
        replica at least is needed whatever the load; `idle`: it serves, and nobody asks for it."""
        before, self.count = self.count, bounded(self.count, service)
        if self.count != before:
            return "its bounds changed: a plan, or an operator here"
        if needed and self.count == 0 and service.replicas_max:
            self._step(+1, now_ms)
            return needed
        high = service.queue_delay_ms > 0 and delay_ms.least > service.queue_delay_ms
        low = delay_ms.most * LOW_SHARE <= service.queue_delay_ms
        if self.count == 1 and not service.replicas_min:
            low = low and idle and not needed  # the last one goes only where nobody would miss it
        self._high_since_ms = _since(self._high_since_ms, high, now_ms)
        self._low_since_ms = _since(self._low_since_ms, low, now_ms)
        if self._may_grow(service, now_ms):
            self._step(+1, now_ms)
            return f"{delay_ms.least} ms in the queue, more than {service.queue_delay_ms} ms"
        if self._may_shrink(service, now_ms):
            self._step(-1, now_ms)
            if not self.count:
                return f"no request at any node for {service.down_after_ms} ms"
            return f"{delay_ms.most} ms in the queue, low for {service.down_after_ms} ms"
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
