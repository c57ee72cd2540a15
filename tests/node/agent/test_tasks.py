"""A daemon serves until it is told to stop, or until one of its tasks fails."""

import asyncio

import pytest

from node.agent.tasks import until_told


async def test_a_task_that_has_nothing_to_do_may_end() -> None:
    stop = asyncio.Event()

    async def nothing() -> None:
        return

    idle = asyncio.create_task(nothing())
    for_ever = asyncio.create_task(asyncio.Event().wait())
    serving = asyncio.create_task(until_told(stop, [idle, for_ever]))
    await idle
    done, _ = await asyncio.wait({serving}, timeout=0.02)
    assert not done
    stop.set()
    await serving
    for_ever.cancel()
    await asyncio.gather(for_ever, return_exceptions=True)


async def test_a_task_that_fails_ends_the_daemon_with_its_reason() -> None:
    async def fail() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await until_told(asyncio.Event(), [asyncio.create_task(fail())])
