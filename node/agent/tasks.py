"""The tasks of a daemon, which run until it is told to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Background:
    """Tasks that are started and left to themselves. One that fails is told in the log: an
    exception that nobody hears is a fault that nobody finds."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work`; it is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            name = getattr(task.get_coro(), "__qualname__", task.get_name())
            log.error("a task failed", task=name, error=repr(error), exc_info=error)


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


async def end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancels the tasks, and waits until they have ended, whatever comes of them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
