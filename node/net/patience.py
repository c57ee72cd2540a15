"""Waiting with a limit, without blaming a peer for a stall of our own.

A plain timeout that expires while this process was stalled fires before the answer that has long
arrived is looked at. Here the time is cut into slices, and the loop runs between them: a stall,
however long, uses up one slice.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

SLICES = 4

T = TypeVar("T")


async def in_time(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """The result of `work`; raises TimeoutError, with the work cancelled, if it takes longer."""
    task = asyncio.ensure_future(work)
    try:
        for _ in range(SLICES):
            done, _waiting = await asyncio.wait({task}, timeout=timeout_s / SLICES)
            if done:
                return task.result()
        raise TimeoutError(f"it took longer than {timeout_s:g} s")
    finally:
        task.cancel()  # it may go on, or have failed just now: a fault that nobody takes is logged
        await asyncio.gather(task, return_exceptions=True)
