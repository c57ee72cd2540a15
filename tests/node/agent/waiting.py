"""Waiting for something that another task does."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Until it holds: it is looked at each time that other tasks have had their turn."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.005)
