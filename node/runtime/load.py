"""How busy a service is here: what its neighbours and the scaling look at.

Delays and rates are quantised, so that a figure which only trembles is not told anew.
"""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""What a figure is rounded up to. Above the last: the last."""

USUAL_OF = 15
"""Inferences whose median is the usual time of one: a machine that stood still for a second, which
up to seven of them may have felt, says nothing of the next."""


@dataclass(slots=True)
class Load:
    """One service's load in the time since the last look, quantised."""

    queue_delay_ms: int
    in_flight: int
    requests_per_second: int


@dataclass(slots=True)
class LoadMeter:
    """Counts requests, their time in the queue, and the time of an inference."""

    in_flight: int = 0
    _requests: int = 0
    _waited_s: float = 0.0
    _took_s: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL_OF))

    @property
    def service_s(self) -> float:
        """Seconds that an inference usually takes; 0 until one was seen."""
        return statistics.median_low(self._took_s) if self._took_s else 0.0

    def waited(self, seconds: float) -> None:
        """A request got its worker after so long in the queue."""
        self.in_flight += 1
        self._requests += 1
        self._waited_s += seconds

    def served(self, seconds: float) -> None:
        """An inference has ended after so long."""
        self.in_flight -= 1
        self._took_s.append(seconds)

    def take(self, since_s: float) -> Load:
        """The load in the `since_s` seconds since the last take; counting begins anew."""
        mean_ms = 1000 * self._waited_s / self._requests if self._requests else 0.0
        rate = self._requests / since_s if since_s > 0 else 0.0
        rate = max(rate, 1.0) if self._requests else 0.0  # any request at all is told
        self._requests, self._waited_s = 0, 0.0
        return Load(_quantised(mean_ms), _quantised(self.in_flight), _quantised(rate))


def _quantised(value: float, steps: Sequence[int] = STEPS) -> int:
    # Less than half of the first step is nothing: an idle queue's microseconds are no delay.
    if value < 0.5:
        return 0
    return next((step for step in steps if value <= step), steps[-1])
