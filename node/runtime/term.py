"""Until when an exclusive pipeline may run, as the runtime keeps it.

The runtime ends the process at its deadline; the process ends itself as well, for a runtime that is
frozen (node/vision/term.py). A deadline is a time of CLOCK_BOOTTIME, 0: there is none.
"""

import asyncio
import time
from contextlib import suppress

LOOK_S = 0.5
"""Seconds between two looks: a timer of the loop stands still while the machine sleeps."""


def boot_ms() -> int:
    """Milliseconds since the machine's boot, with those in which it slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Term:
    """One pipeline's deadline, which is renewed."""

    def __init__(self, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self._renewed = asyncio.Event()

    def renew(self, deadline_ms: int) -> bool:
        """Takes a later deadline; whether it is one. What has none gets none."""
        if not 0 < self.deadline_ms < deadline_ms:
            return False
        self.deadline_ms = deadline_ms
        self._renewed.set()
        return True

    @property
    def is_over(self) -> bool:
        """Whether the pipeline may not run now."""
        return 0 < self.deadline_ms <= boot_ms()

    async def over(self) -> None:
        """Until it is over; for ever where there is no deadline."""
        while not self.is_over:
            left_s = (self.deadline_ms - boot_ms()) / 1000 if self.deadline_ms else LOOK_S
            await asyncio.sleep(min(max(left_s, 0.001), LOOK_S))

    async def begun(self) -> None:
        """Until it is not over."""
        while self.is_over:
            self._renewed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._renewed.wait()
