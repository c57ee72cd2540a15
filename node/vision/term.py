"""Until when an exclusive pipeline may act: it ends itself then, unless it was renewed.

The deadline is a time of CLOCK_BOOTTIME, which the runtime and the agent share and which goes on
while the machine sleeps. It is looked at before each act, and by a thread besides: so one that was
stopped and goes on, or that waits for a camera, acts no more. Renewals come as lines of input.
"""

import json
import os
import select
import threading
import time
from collections.abc import Callable

from node.vision.limits import SPEC_BYTES_MAX

EXIT_OVER = 3
"""The exit code of one whose time is over."""
LOOK_S = 0.25
"""Between two looks of the thread."""


def boot_ms() -> int:
    """Milliseconds since the machine's boot, with those in which it slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Lines:
    """Lines of a pipe: the first is waited for, the others are taken as they are there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._open = True

    def first(self) -> bytes:
        """The first line, or what comes instead of one: the end, or too much for a line."""
        while b"\n" not in self._rest and len(self._rest) <= SPEC_BYTES_MAX and self._open:
            self._read()
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def more(self) -> list[bytes]:
        """The whole lines that have come since."""
        while self._open and select.select([self._descriptor], [], [], 0)[0]:
            self._read()
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def _read(self) -> None:
        found = os.read(self._descriptor, SPEC_BYTES_MAX)
        self._open = bool(found)
        self._rest += found


class Term:
    """How long this process may act. `deadline_ms` 0: for ever. `end` is called when it is over,
    and does not return."""

    def __init__(self, deadline_ms: int, lines: Lines, end: Callable[[], None]) -> None:
        self._deadline_ms = deadline_ms
        self._lines = lines
        self._end = end
        self._one_at_a_time = threading.Lock()

    def check(self) -> None:
        """Ends the process if its time is over; to be called before each act."""
        if not self._deadline_ms:
            return
        with self._one_at_a_time:
            if boot_ms() >= self._deadline_ms:
                for line in self._lines.more():
                    self._deadline_ms = max(self._deadline_ms, _deadline_in(line))
            over = boot_ms() >= self._deadline_ms
        if over:
            self._end()

    def watch(self) -> None:
        """Looks now and then, in a thread of its own, whatever native code does meanwhile."""
        if self._deadline_ms:
            threading.Thread(target=self._look, name="term", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self.check()


def end_now() -> None:
    """Ends this process without another word."""
    os._exit(EXIT_OVER)


def _deadline_in(line: bytes) -> int:
    """The deadline that a line states; 0 for anything else."""
    try:
        found = json.loads(line)["deadline_ms"]
    except (ValueError, KeyError, TypeError):
        return 0
    return found if type(found) is int else 0
