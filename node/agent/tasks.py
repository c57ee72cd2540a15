"""The tasks of a daemon, which run until it is told to stop."""

import asyncio
from typing import Any


async def until_told(stop: asyncio.Event, tasks: list[asyncio.Task[Any]]) -> None:
    """Until `stop` is set, or one of the tasks has failed: that is re-raised. A task that has
    nothing to do may end."""
    running = {asyncio.create_task(stop.wait()), *tasks}
    while not stop.is_set():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    for task in running - set(tasks):
        task.cancel()
