"""Which neighbour is asked first."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from node.runtime.deadline import Deadline
from node.runtime.errors import RequestFailed
from node.runtime.neighbours import Neighbours
from protos.inference_pb2 import ServerLiveResponse
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import Route


class Clear:
    """Dials without TLS, which is as good where nobody is called."""

    def refusal(self, address: str) -> str:
        return ""

    def dial(self, address: str, dns_name: str, shows: bytes) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address)


@dataclass
class Calls:
    """Calls whose answers the test gives when it likes."""

    open: list[asyncio.Future[ServerLiveResponse]] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, stub: GRPCInferenceServiceStub, limit_s: float) -> ServerLiveResponse:
        answer: asyncio.Future[ServerLiveResponse] = asyncio.get_running_loop().create_future()
        self.open.append(answer)
        self._more.set()
        return await answer

    async def one_more(self) -> None:
        """Waits for the next call."""
        await self._more.wait()
        self._more.clear()


@pytest_asyncio.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    made = Neighbours(Clear(), lambda route, why: None)
    yield made
    await made.close()


async def serve(neighbours: Neighbours, **delays_ms: int) -> None:
    """Makes these nodes serve faces, with such queues."""
    routes = [
        Route(workload="faces", node=node, address=f"127.0.0.1:{port}", queue_delay_ms=delay)
        for port, (node, delay) in enumerate(delays_ms.items(), start=1)
    ]
    await neighbours.replace(routes)


def first(neighbours: Neighbours) -> str:
    return neighbours.routes("faces")[0].node


async def ask(neighbours: Neighbours, calls: Calls) -> "asyncio.Task[ServerLiveResponse]":
    task = asyncio.create_task(neighbours.ask("faces", calls.call, Deadline.after(60.0)))
    await calls.one_more()
    return task


async def test_who_owes_an_answer_is_asked_after_who_does_not(neighbours: Neighbours) -> None:
    await serve(neighbours, a=0, b=0)
    calls = Calls()
    assert first(neighbours) == "a"
    slow = await ask(neighbours, calls)
    for _ in range(3):
        assert first(neighbours) == "b"
        quick = await ask(neighbours, calls)
        calls.open[-1].set_result(ServerLiveResponse(live=True))
        assert (await quick).live
    calls.open[0].set_result(ServerLiveResponse(live=True))
    await slow
    assert first(neighbours) == "a"


async def test_equals_take_turns(neighbours: Neighbours) -> None:
    await serve(neighbours, a=0, b=0, c=0)
    calls, asked = Calls(), []
    for _ in range(6):
        asked.append(first(neighbours))
        task = await ask(neighbours, calls)
        calls.open[-1].set_result(ServerLiveResponse())
        await task
    assert asked == ["a", "b", "c"] * 2


async def test_the_shorter_queue_is_asked_before_the_longer(neighbours: Neighbours) -> None:
    await serve(neighbours, a=500, b=20)
    assert first(neighbours) == "b"
    await serve(neighbours, a=10, b=20)
    assert first(neighbours) == "a"


@pytest.mark.parametrize("full", ["a", "b"])
async def test_where_one_is_full_that_is_the_last_word(neighbours: Neighbours, full: str) -> None:
    await serve(neighbours, a=1, b=2)

    async def call(stub: GRPCInferenceServiceStub, limit_s: float) -> ServerLiveResponse:
        node = asked.pop(0)
        code = grpc.StatusCode.RESOURCE_EXHAUSTED if node == full else grpc.StatusCode.UNAVAILABLE
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), node)

    asked = ["a", "b"]
    with pytest.raises(RequestFailed, match=full) as refused:
        await neighbours.ask("faces", call, Deadline.after(60.0))
    assert refused.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asked == [], "both were asked"
