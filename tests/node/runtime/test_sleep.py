"""A service that sleeps: requests wait for it, the agent is shown that they do, and it wakes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from node.runtime.catalogue import Target
from node.runtime.deadline import Deadline
from node.runtime.errors import RequestFailed
from node.runtime.limits import DEADLINE_S_DEFAULT, QUEUE_BYTES_MAX, QUEUE_LENGTH_MAX
from node.runtime.neighbours import HOP
from node.runtime.waking import POLL_S, Waking
from protos import inference_pb2 as v2
from protos.documents_pb2 import SERVING
from protos.runtime_pb2 import KnownModel, Route, RuntimeState
from tests.node.runtime.harness import (
    WAIT_S,
    RunningRuntime,
    phases,
    request,
    runtime_here,
)
from tests.node.runtime.identities import Authority
from tests.node.worker.models import Built

ANY = "127.0.0.1:0"
SLEEPER = KnownModel(workload="faces", model="tiny", model_version="1.0.0", may_sleep=True)


def waiting(state: RuntimeState) -> int:
    return sum(load.waiting for load in state.loads if load.workload == "faces")


@pytest_asyncio.fixture
async def asleep(tmp_path: Path) -> AsyncIterator[RunningRuntime]:
    """A runtime that knows a service that may sleep, and serves nothing."""
    async with runtime_here(tmp_path / "asleep") as runtime:
        await runtime.apply(models=[SLEEPER])
        yield runtime


async def test_requests_wait_until_a_replica_serves_here(
    asleep: RunningRuntime, model: Built
) -> None:
    asked = [asyncio.create_task(asleep.infer(n, within_s=WAIT_S)) for n in (1.0, 2.0, 3.0)]
    await asleep.until(lambda state: waiting(state) >= 1)  # of more the agent need not be told
    await asleep.apply(model.spec, models=[SLEEPER])
    assert await asyncio.gather(*asked) == [2.0, 3.0, 4.0]
    await asleep.until(lambda state: waiting(state) == 0)
    assert await asleep.infer(4.0) == 5.0


async def test_a_request_waits_until_a_neighbour_serves(tmp_path: Path, model: Built) -> None:
    authority = Authority(tmp_path / "pki")
    n1, n2 = authority.node("n1"), authority.node("n2")
    async with (
        runtime_here(tmp_path / "1", n1.paths, ANY) as first,
        runtime_here(tmp_path / "2", n2.paths, ANY) as second,
    ):
        to_second = Route(
            workload="faces",
            node="n2",
            address=second.state.peer_inference_address,
            dns_name=n2.identity.dns_name,
        )
        await second.apply(models=[SLEEPER])
        await first.apply(models=[SLEEPER], routes=[to_second])
        # The route is of a moment ago: who is asked there says that nothing serves.
        asked = asyncio.create_task(first.infer(1.0, within_s=WAIT_S))
        await first.until(lambda state: waiting(state) == 1)
        assert waiting(await second.now()) == 0, "one hop: it waits where it came in"
        await first.apply(models=[SLEEPER])
        await second.apply(model.spec, models=[SLEEPER])
        await second.until(lambda state: phases(state) == [SERVING])
        await first.apply(models=[SLEEPER], routes=[to_second])
        assert await asked == 2.0


async def test_what_is_not_up_in_time_says_so_and_the_way_out(asleep: RunningRuntime) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await asleep.infer(within_s=0.6)
    assert late.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "ask again, with a longer deadline" in (late.value.details() or "")
    assert "replicas.min of 1" in (late.value.details() or "")


async def test_a_request_with_no_time_to_wait_is_shown_all_the_same(
    asleep: RunningRuntime,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await asleep.infer(within_s=0.05)
    await asleep.until(lambda state: waiting(state) == 1)
    await asleep.until(lambda state: waiting(state) == 0)


async def test_what_was_passed_on_once_does_not_wait(asleep: RunningRuntime) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asleep.inference.ModelInfer(request(), timeout=WAIT_S, metadata=HOP)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert waiting(await asleep.now()) == 0


async def test_what_may_not_sleep_is_not_waited_for(asleep: RunningRuntime) -> None:
    await asleep.apply(models=[KnownModel(workload="faces", model="tiny")])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asleep.infer(within_s=WAIT_S)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert waiting(await asleep.now()) == 0


async def test_a_service_that_sleeps_is_ready_and_told_to_sleep(asleep: RunningRuntime) -> None:
    port = asleep.inference
    assert (await port.ServerReady(v2.ServerReadyRequest(), timeout=WAIT_S)).ready
    assert (await port.ModelReady(v2.ModelReadyRequest(name="faces"), timeout=WAIT_S)).ready
    index = await port.RepositoryIndex(v2.RepositoryIndexRequest(), timeout=WAIT_S)
    assert [(m.state, m.reason) for m in index.models] == [
        ("READY", "it sleeps: a request wakes it")
    ]
    unload = v2.RepositoryModelUnloadRequest(model_name="faces")
    await port.RepositoryModelUnload(unload, timeout=WAIT_S)  # it serves nowhere: nothing to do


async def test_who_asks_what_it_takes_wakes_it_too(asleep: RunningRuntime, model: Built) -> None:
    asked = asleep.inference.ModelMetadata(v2.ModelMetadataRequest(name="faces"), timeout=WAIT_S)
    await asleep.until(lambda state: waiting(state) == 1)
    await asleep.apply(model.spec, models=[SLEEPER])
    assert (await asked).inputs[0].name == "x"


async def test_only_so_many_and_so_much_waits() -> None:
    awake, target = asyncio.Event(), Target("faces", "")
    waking = Waking(lambda _: awake.is_set(), lambda: None)
    deadline = Deadline.after(WAIT_S)
    held = [
        asyncio.create_task(waking.until_awake(target, 1, deadline))
        for _ in range(QUEUE_LENGTH_MAX)
    ]
    big = asyncio.create_task(waking.until_awake(Target("doors", ""), QUEUE_BYTES_MAX, deadline))
    await asyncio.sleep(0)
    for workload, size, text in (
        ("faces", 0, f"{QUEUE_LENGTH_MAX} requests wait"),
        ("doors", 1, "256 MiB of requests wait"),
    ):
        with pytest.raises(RequestFailed, match=text) as full:
            await waking.until_awake(Target(workload, ""), size, deadline)
        assert full.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    awake.set()
    await asyncio.gather(*held, big)
    await waking.until_awake(target, 1, deadline)


async def test_what_is_awake_and_answers_nobody_is_not_asked_without_a_pause() -> None:
    waking, deadline, tries = Waking(lambda _: True, lambda: None), Deadline.after(0.5), 0

    async def ask_again_and_again() -> None:
        nonlocal tries
        while tries <= 0.5 / POLL_S:
            await waking.until_awake(Target("faces", ""), 1, deadline)
            tries += 1

    with pytest.raises(RequestFailed, match="longer deadline"):
        await ask_again_and_again()
    assert tries >= 1


def test_a_caller_without_a_deadline_has_a_named_one() -> None:
    assert DEADLINE_S_DEFAULT - 1 < Deadline.after(None).left() <= DEADLINE_S_DEFAULT
