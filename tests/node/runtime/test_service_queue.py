"""Requests wait, workers take them: order, limits, and workers that go."""

import asyncio
from dataclasses import dataclass

import pytest

from node.runtime.limits import QUEUE_BYTES_MAX, QUEUE_LENGTH_MAX
from node.runtime.service_queue import NoReplica, QueueFull, ServiceQueue


@dataclass(eq=False)
class Worker:
    version: str = "1"


Queue = ServiceQueue[Worker]


def queue(*workers: Worker) -> Queue:
    made: Queue = ServiceQueue(lambda: 0.0)
    for worker in workers:
        made.join(worker)
    return made


async def waiting(made: Queue, version: str = "", size: int = 1) -> asyncio.Task[Worker]:
    task = asyncio.create_task(made.acquire(version, size, 60.0))
    await asyncio.sleep(0)
    return task


async def test_an_idle_worker_is_given_at_once() -> None:
    worker = Worker()
    assert await queue(worker).acquire("", 1, 1.0) is worker


async def test_without_a_worker_nobody_waits() -> None:
    with pytest.raises(NoReplica):
        await queue().acquire("", 1, 1.0)


async def test_who_came_first_is_served_first() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    first, second = await waiting(made), await waiting(made)
    made.release(worker, 0.01)
    assert await first is worker
    assert not second.done()
    made.release(worker, 0.01)
    assert await second is worker


async def test_a_request_waits_for_the_version_that_it_asked_for() -> None:
    old, new = Worker("1"), Worker("2")
    made = queue(old)
    with pytest.raises(NoReplica):
        await made.acquire("2", 1, 1.0)
    made.join(new)
    assert await made.acquire("2", 1, 1.0) is new
    asked_new, asked_any = await waiting(made, "2"), await waiting(made)
    assert await asked_any is old
    made.release(new, 0.01)
    assert await asked_new is new


async def test_a_request_that_is_late_never_reaches_a_worker() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    with pytest.raises(TimeoutError):
        await made.acquire("", 1, 0.001)
    made.release(worker, 0.01)
    assert await made.acquire("", 1, 1.0) is worker


async def test_a_caller_that_leaves_gives_its_place_up() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    gone, stays = await waiting(made), await waiting(made)
    gone.cancel()
    await asyncio.wait({gone})
    made.release(worker, 0.01)
    assert await stays is worker


async def test_a_grant_that_meets_a_cancellation_goes_to_the_next() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    gone, stays = await waiting(made), await waiting(made)
    made.release(worker, 0.01)
    gone.cancel()
    await asyncio.wait({gone})
    assert await stays is worker


async def test_a_worker_that_left_is_given_to_nobody() -> None:
    busy, idle = Worker(), Worker()
    made = queue(busy, idle)
    assert await made.acquire("", 1, 1.0) is busy
    made.leave(idle)
    made.leave(busy)
    made.release(busy, 0.01)
    with pytest.raises(NoReplica):
        await made.acquire("", 1, 1.0)


async def test_who_waits_for_the_last_worker_is_told_when_it_goes() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    waiter = await waiting(made)
    made.leave(worker)
    with pytest.raises(NoReplica, match="went away"):
        await waiter


async def test_a_queue_that_is_too_long_refuses() -> None:
    made = queue(Worker())
    await made.acquire("", 1, 1.0)
    tasks = [await waiting(made) for _ in range(QUEUE_LENGTH_MAX)]
    with pytest.raises(QueueFull, match=f"{QUEUE_LENGTH_MAX} requests wait"):
        await made.acquire("", 1, 60.0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_queue_that_is_too_large_refuses() -> None:
    made = queue(Worker())
    await made.acquire("", 1, 1.0)
    large = await waiting(made, size=QUEUE_BYTES_MAX)
    with pytest.raises(QueueFull, match="MiB of requests"):
        await made.acquire("", 1, 60.0)
    large.cancel()
    await asyncio.wait({large})


async def test_a_request_that_would_come_too_late_is_refused_at_once() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    made.release(worker, 2.0)
    await made.acquire("", 1, 1.0)
    first = await waiting(made)
    with pytest.raises(QueueFull, match=r"it would wait 2\.0 s"):
        await made.acquire("", 1, 1.0)
    first.cancel()
    await asyncio.wait({first})


async def test_a_worker_that_is_free_just_when_a_request_ends_goes_to_the_next() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    ended, following = await waiting(made), await waiting(made)
    ended.cancel()  # its caller has gone; it has yet to notice
    made.release(worker, 0.01)
    assert await following is worker
    made.release(worker, 0.01)
    assert await made.acquire("", 1, 1.0) is worker
    with pytest.raises(asyncio.CancelledError):
        await ended


async def test_the_last_worker_may_go_just_when_a_request_ends() -> None:
    worker = Worker()
    made = queue(worker)
    await made.acquire("", 1, 1.0)
    ended, following = await waiting(made), await waiting(made)
    ended.cancel()
    made.leave(worker)
    with pytest.raises(NoReplica):
        await following
    with pytest.raises(asyncio.CancelledError):
        await ended
