"""The small parts that need no network: budgets, the queue, patience."""

import asyncio
import time

import pytest

from node.net.budget import Bucket, Budgets
from node.net.byte_queue import FRAME_OVERHEAD_BYTES, ByteQueue
from node.net.patience import in_time


def test_a_bucket_refuses_beyond_its_burst_and_fills_up_again() -> None:
    bucket = Bucket(per_s=2.0, burst=3.0)
    assert [bucket.take(1.0, 10.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1.0, 10.4)
    assert bucket.take(1.0, 10.5)
    assert [bucket.take(1.0, 99.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1.0, 50.0)  # a clock that went back fills nothing


def test_a_bucket_says_how_long_to_wait_for_a_debt() -> None:
    bucket = Bucket(per_s=10.0, burst=5.0)
    assert bucket.wait_after(5.0, 0.0) == 0.0
    assert bucket.wait_after(20.0, 0.0) == 2.0
    assert bucket.wait_after(0.0, 1.0) == 1.0


def test_one_takers_budget_is_not_anothers_and_old_ones_are_forgotten() -> None:
    budgets = Budgets(per_s=1.0, burst=1.0, takers_max=2)
    assert [budgets.take("a", 0.0), budgets.take("a", 0.0), budgets.take("b", 0.0)] == [
        True,
        False,
        True,
    ]
    assert not budgets.take("a", 0.0)
    assert budgets.take("c", 0.0)  # b, not seen for longest, makes room
    assert not budgets.take("a", 0.0)
    assert budgets.take("b", 0.0)


async def test_the_queue_is_bounded_in_bytes_and_keeps_order() -> None:
    queue = ByteQueue(2 * (10 + FRAME_OVERHEAD_BYTES))
    assert [queue.offer(b"0123456789") for _ in range(3)] == [True, True, False]
    waiting = asyncio.create_task(queue.put(b"late"))
    await asyncio.sleep(0)
    assert (queue.full, len(queue)) == (True, 2)
    assert await queue.get() == b"0123456789"
    await waiting
    queue.end(drop=False)
    assert queue.offer(b"forgotten")
    await queue.put(b"forgotten")
    assert [await queue.get() for _ in range(3)] == [b"0123456789", b"late", None]


async def test_whoever_waits_for_a_queue_is_woken_by_its_end() -> None:
    empty, full = ByteQueue(100), ByteQueue(1)
    await full.put(b"x")
    tasks = [asyncio.create_task(empty.get()), asyncio.create_task(full.put(b"y"))]
    await asyncio.sleep(0)
    empty.end(drop=True)
    full.end(drop=True)
    assert await asyncio.gather(*tasks) == [None, None]
    assert await full.get() is None


async def test_a_stall_of_our_own_blames_nobody() -> None:
    answered = asyncio.Event()

    async def answer() -> str:
        await answered.wait()
        await asyncio.sleep(0)
        return "here"

    waiting = asyncio.create_task(in_time(answer(), timeout_s=0.2))
    await asyncio.sleep(0)
    answered.set()
    time.sleep(0.3)  # noqa: ASYNC251  # the stall
    assert await waiting == "here"


async def test_patience_ends_and_the_work_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError, match=r"longer than 0\.01 s"):
        await in_time(never(), 0.01)
    assert cancelled.is_set()
