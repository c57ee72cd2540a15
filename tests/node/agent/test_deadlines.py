"""What the agent tells its runtime of deadlines, and to which runtimes it tells none."""

import asyncio

import grpc

from mesh.core.messages import Renew
from node.agent.deadlines import Deadlines, may_be_told
from node.agent.edge import now_ms
from node.runtime.term import boot_ms
from protos.documents_pb2 import PipelinePlan
from protos.runtime_pb2 import RenewReply, RenewRequest, RuntimeState
from protos.runtime_pb2_grpc import RuntimeServicer, RuntimeStub, add_RuntimeServicer_to_server

DOOR = PipelinePlan(name="door", exclusive=True)
OPEN = PipelinePlan(name="open")


def test_the_core_counts_by_the_clock_of_the_deadlines() -> None:
    before = boot_ms()
    assert before <= now_ms() <= boot_ms()


def test_a_pipeline_that_needs_a_lease_has_none_until_the_core_says_so() -> None:
    deadlines = Deadlines()
    assert (deadlines.of(OPEN), deadlines.of(DOOR)) == (0, 1)
    deadlines.renew(Renew((("door", 77),)))
    assert (deadlines.of(OPEN), deadlines.of(DOOR)) == (0, 77)


def test_a_runtime_that_keeps_no_deadlines_is_told_nothing_that_needs_one() -> None:
    assert may_be_told(OPEN, None)
    assert may_be_told(OPEN, RuntimeState())
    assert not may_be_told(DOOR, None)
    assert not may_be_told(DOOR, RuntimeState())
    assert may_be_told(DOOR, RuntimeState(keeps_deadlines=True))


class OneThatRefusesFirst(RuntimeServicer):
    """Takes renewals, but for the first."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    async def Renew(  # noqa: N802
        self, request: RenewRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> RenewReply:
        self.asked += 1
        if self.asked == 1:
            await self.told.put({})
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        await self.told.put({one.workload: one.deadline_ms for one in request.deadlines})
        return RenewReply()


async def test_each_renewal_is_told_and_one_that_fails_is_followed_by_the_next() -> None:
    server, runtime = grpc.aio.server(), OneThatRefusesFirst()
    add_RuntimeServicer_to_server(runtime, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    deadlines, listening = Deadlines(), asyncio.Event()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        telling = asyncio.create_task(deadlines.tell(RuntimeStub(channel), listening))
        listening.set()
        async with asyncio.timeout(20):
            deadlines.renew(Renew((("door", 5),)))
            assert await runtime.told.get() == {}
            deadlines.renew(Renew((("door", 9),)))
            assert await runtime.told.get() == {"door": 9}
        telling.cancel()
        await asyncio.wait({telling})
    await server.stop(None)
