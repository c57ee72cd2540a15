"""Waiting for something that should come true, and saying what was seen when it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class StepFailed(Exception):
    """A step of the demo does not hold; the text is the evidence."""


def wait_for(
    what: str,
    look: Callable[[], tuple[Value | None, object]],
    timeout_s: float,
    every_s: float = 0.2,
) -> Value:
    """Looks until there is a value, and gives it.

    A look gives the value, or None, and what it saw. Raises StepFailed with what was last seen.
    """
    until = time.monotonic() + timeout_s
    while True:
        value, evidence = look()
        if value is not None:
            return value
        if time.monotonic() > until:
            raise StepFailed(f"{what}: not within {timeout_s:.0f} s; last seen: {evidence}")
        time.sleep(every_s)


def require(holds: object, text: str) -> None:
    """Raises StepFailed with `text` if `holds` is false."""
    if not holds:
        raise StepFailed(text)
