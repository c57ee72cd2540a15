"""Requests for a service that sleeps: they wait until a replica serves, here or at a neighbour.

The plan allows such a service no replica while nobody asks for it. That somebody does is shown to
the agent, whose site then starts one. As many wait as in a service's queue, with as many bytes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from node.runtime.catalogue import Target
from node.runtime.deadline import Deadline
from node.runtime.errors import exhausted, unavailable
from node.runtime.limits import (
    QUEUE_BYTES_MAX,
    QUEUE_LENGTH_MAX,
    WAKE_ANSWER_S,
    WAKE_SHOWN_S,
)

POLL_S = 0.05
"""Seconds between looks at whether somebody serves."""


class Waking:
    """Who waits. `available` says whether somebody can answer now; `changed` is called when what
    is `shown` is another."""

    def __init__(self, available: Callable[[Target], bool], changed: Callable[[], None]) -> None:
        self._available = available
        self._changed = changed
        self._waiting: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self.shown: Counter[str] = Counter()
        """Requests for each service that wait, or did a moment ago."""

    async def until_awake(self, target: Target, size: int, deadline: Deadline) -> None:
        """Waits with a request of `size` bytes. Raises RequestFailed: UNAVAILABLE where nobody
        serves in time, RESOURCE_EXHAUSTED where too many wait."""
        self._check_room(target.workload, size)
        self._enter(target.workload, size)
        try:
            # Who was refused by somebody that is there to be asked waits as well, once at least: it
            # would else ask again at the speed of the network.
            while True:
                if deadline.left() <= WAKE_ANSWER_S:
                    raise unavailable(
                        f"{target.workload!r} slept and does not serve yet: ask again, with a "
                        "longer deadline; `meshctl explain` says what holds it up; a plan with "
                        "replicas.min of 1 keeps it awake"
                    )
                await asyncio.sleep(POLL_S)
                if self._available(target):
                    return
        finally:
            self._leave(target.workload, size)

    def _check_room(self, workload: str, size: int) -> None:
        if self._waiting[workload] >= QUEUE_LENGTH_MAX:
            raise exhausted(f"{QUEUE_LENGTH_MAX} requests wait for {workload!r} to wake already")
        if self._bytes[workload] + size > QUEUE_BYTES_MAX:
            text = f"{QUEUE_BYTES_MAX >> 20} MiB of requests wait for {workload!r} to wake already"
            raise exhausted(text)

    def _enter(self, workload: str, size: int) -> None:
        self._waiting[workload] += 1
        self._bytes[workload] += size
        self.shown[workload] += 1
        if self.shown[workload] == 1:
            self._changed()

    def _leave(self, workload: str, size: int) -> None:
        self._waiting[workload] -= 1
        self._bytes[workload] -= size
        asyncio.get_running_loop().call_later(WAKE_SHOWN_S, self._hide, workload)

    def _hide(self, workload: str) -> None:
        self.shown[workload] -= 1
        if not self.shown[workload]:
            self._changed()
