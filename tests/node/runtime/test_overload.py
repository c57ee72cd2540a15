"""More requests than workers: who waits, who is refused, and whose time is over."""

import asyncio
import itertools
import os
import signal
from pathlib import Path

import grpc
import grpc.aio

from node.runtime.limits import QUEUE_LENGTH_MAX
from protos.documents_pb2 import SERVING
from tests.node.runtime.harness import WAIT_S, RunningRuntime, phases, replica, runtime_here
from tests.node.worker.models import Built


async def frozen_worker(runtime: RunningRuntime, model: Built) -> int:
    """The process ID of the only worker, which stands still until it is told to go on."""
    await runtime.apply(model.spec)
    state = await runtime.until(lambda state: phases(state) == [SERVING])
    os.kill(replica(state).pid, signal.SIGSTOP)
    return replica(state).pid


async def code_of(asked: "asyncio.Task[float]") -> str:
    """How a request ended: OK, or the status's name."""
    try:
        await asked
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_beyond_the_queue_requests_are_refused_at_once(tmp_path: Path, model: Built) -> None:
    async with runtime_here(tmp_path) as runtime:
        pid = await frozen_worker(runtime, model)
        many = QUEUE_LENGTH_MAX + 6
        asked = [asyncio.create_task(runtime.infer(1.0, within_s=WAIT_S)) for _ in range(many)]
        # One is at work, so many wait, the rest find no room. All have come once those are refused.
        without_room = many - 1 - QUEUE_LENGTH_MAX
        ended = asyncio.as_completed([code_of(task) for task in asked])
        refused = [await code for code in itertools.islice(ended, without_room)]
        assert refused == ["RESOURCE_EXHAUSTED"] * without_room
        os.kill(pid, signal.SIGCONT)
        codes = [await code_of(task) for task in asked]
        assert codes.count("OK") == QUEUE_LENGTH_MAX + 1
        assert codes.count("RESOURCE_EXHAUSTED") == without_room


async def test_a_request_whose_time_is_over_never_reaches_a_worker(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        pid = await frozen_worker(runtime, model)
        asked = [asyncio.create_task(runtime.infer(1.0, within_s=0.5)) for _ in range(5)]
        assert [await code_of(task) for task in asked] == ["DEADLINE_EXCEEDED"] * 5
        os.kill(pid, signal.SIGCONT)
        assert await runtime.infer(1.0, within_s=WAIT_S) == 2.0
        # The one that was at work when its caller gave up, and the last one.
        assert replica(await runtime.now()).requests == 2
