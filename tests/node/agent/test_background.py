"""Background tasks: kept until they end, and what fails is heard of."""

import asyncio

import structlog

from node.agent.tasks import Background


async def test_a_task_that_fails_is_told_in_the_log_and_one_that_ends_is_not() -> None:
    async def fails() -> None:
        raise LookupError("nobody hears this")

    async def ends() -> None:
        return None

    background = Background()
    with structlog.testing.capture_logs() as entries:
        tasks = [background.start(fails()), background.start(ends())]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
    assert [(entry["event"], "fails" in entry["task"]) for entry in entries] == [
        ("a task failed", True)
    ]
