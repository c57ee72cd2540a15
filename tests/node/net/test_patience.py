"""Waiting with a limit: who gives up leaves nothing behind."""

import asyncio
import gc
from typing import Any

import pytest

from node.net.patience import in_time


async def refused() -> None:
    raise ConnectionRefusedError


async def given_up(turns: int) -> None:
    """Waits for what fails at once, and gives up after so many turns of the loop."""
    waiting = asyncio.create_task(in_time(refused(), 5.0))
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5])
async def test_a_fault_of_what_is_given_up_in_that_moment_is_told_nowhere(turns: int) -> None:
    loop = asyncio.get_running_loop()
    untold: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: untold.append(context))
    try:
        await given_up(turns)
        await asyncio.sleep(0)  # what this turn of the loop was woken by is let go
        gc.collect()
    finally:
        loop.set_exception_handler(before)
    assert untold == []
