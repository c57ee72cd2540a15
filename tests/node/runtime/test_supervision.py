"""What runs follows the spec, and comes back when it dies. Real workers, really killed."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest

from node.runtime import replica as supervised
from node.runtime import worker_process
from node.runtime.limits import LOAD_CRASHES_MAX
from protos.documents_pb2 import FAILED, LOADING, REFUSED, SERVING
from protos.inference_pb2 import ModelInferRequest
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import ReplicaSpec, RestartWorkloadRequest, RuntimeSpec
from tests.node.runtime.harness import (
    WAIT_S,
    RunningRuntime,
    phases,
    replica,
    runtime_here,
)
from tests.node.worker.models import Built, Recipe, adder, bomb, build, late_bomb, wrong


def second(model: Built) -> ReplicaSpec:
    made = ReplicaSpec()
    made.CopyFrom(model.spec)
    made.index = 1
    return made


def named(model: Built, workload: str) -> ReplicaSpec:
    made = ReplicaSpec()
    made.CopyFrom(model.spec)
    made.workload = workload
    return made


async def test_a_killed_worker_is_replaced_and_no_request_fails(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec, second(model))
        state = await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        victim = replica(state).pid
        asked = [asyncio.create_task(runtime.infer(1.0, within_s=2.0)) for _ in range(10)]
        os.kill(victim, signal.SIGKILL)
        asked += [asyncio.create_task(runtime.infer(1.0, within_s=2.0)) for _ in range(10)]
        assert await asyncio.gather(*asked) == [2.0] * 20
        state = await runtime.until(
            lambda state: replica(state).pid not in (0, victim) and phases(state) == [SERVING] * 2
        )
        assert replica(state).restarts == 1
        died = (await runtime.until_journalled("replica.died"))[0]
        assert died.subject == "faces/0"
        assert "SIGKILL" in died.cause


async def test_a_request_in_flight_is_tried_again_until_it_seems_to_be_the_cause(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec, second(model))
        state = await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        # Frozen, so that the request is certainly at work when its worker dies.
        for worker in state.replicas:
            os.kill(worker.pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(runtime.infer(1.0, within_s=WAIT_S))
        killed: set[int] = set()
        for _ in range(2):
            busy = await _at_work(runtime, killed)
            killed.add(busy)
            os.kill(busy, signal.SIGKILL)
        with pytest.raises(grpc.aio.AioRpcError, match="2 workers died") as caught:
            await asked
        assert caught.value.code() == grpc.StatusCode.INTERNAL


async def _at_work(runtime: RunningRuntime, but: set[int]) -> int:
    """The process ID of a worker, not one of `but`, that was given a request."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for worker in (await runtime.now()).replicas:
                if worker.requests and worker.pid and worker.pid not in but:
                    return worker.pid


async def test_a_frozen_worker_is_noticed_and_replaced(
    tmp_path: Path, model: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "STALL_S_MIN", 1.0)
    monkeypatch.setattr(supervised, "PING_EVERY_S", 0.2)
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        frozen = replica(state).pid
        os.kill(frozen, signal.SIGSTOP)
        await runtime.until(
            lambda state: replica(state).pid not in (0, frozen) and phases(state) == [SERVING]
        )
        assert "no progress" in runtime.events("replica.died")[0].cause


async def test_applying_what_holds_restarts_nothing(serving: RunningRuntime, model: Built) -> None:
    before = replica(serving.state).pid
    await serving.apply(model.spec)
    await serving.apply(model.spec)
    assert await serving.infer(1.0) == 2.0
    assert replica(serving.state).pid == before


async def test_a_contradictory_spec_is_refused_whole(serving: RunningRuntime, model: Built) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="named twice") as caught:
        await serving.apply(model.spec, model.spec)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert await serving.infer(1.0) == 2.0


async def test_a_new_version_takes_over_without_a_gap(tmp_path: Path, model: Built) -> None:
    newer = replace(adder(tmp_path / "saved", 10.0), version="2.0.0")
    other = build(tmp_path / "newer", newer)
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        old = replica(state).pid
        await runtime.apply(other.spec)
        answers = {await runtime.infer(1.0)}
        while 11.0 not in answers:
            answers.add(await runtime.infer(1.0))
        assert answers <= {2.0, 11.0}
        state = await runtime.until(lambda state: len(state.replicas) == 1)
        assert replica(state).state.model_version == "2.0.0"
        assert replica(state).pid != old
        assert await runtime.infer(1.0, version="2.0.0") == 11.0


async def test_a_new_version_that_is_wrong_takes_nothing_away(tmp_path: Path, model: Built) -> None:
    bad = build(tmp_path / "bad", wrong(adder(tmp_path / "saved")))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        old = replica(state).pid
        await runtime.apply(bad.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING, REFUSED])
        assert replica(state).pid == old
        assert "golden check" in replica(state, 1).state.reason
        assert "2 instead of 7" in replica(state, 1).state.reason
        assert await runtime.infer(1.0) == 2.0
        assert len(await runtime.until_journalled("replica.refused")) == 1


def soaking(model: Built, soak_ms: int) -> ReplicaSpec:
    made = ReplicaSpec()
    made.CopyFrom(model.spec)
    made.soak_ms = soak_ms
    return made


async def test_the_old_version_serves_until_the_new_one_has_soaked(
    tmp_path: Path, model: Built
) -> None:
    newer = build(tmp_path / "newer", replace(adder(tmp_path / "saved", 10.0), version="2.0.0"))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        assert replica(state).state.soaked
        old = replica(state).pid
        await runtime.apply(soaking(newer, 1_500))
        state = await runtime.until(lambda state: phases(state) == [SERVING, SERVING])
        begun = asyncio.get_running_loop().time()
        assert (replica(state).pid, replica(state, 1).state.soaked) == (old, False)
        answers = set()
        while len(runtime.state.replicas) == 2:
            answers.add(await runtime.infer(1.0, within_s=2.0))
        assert asyncio.get_running_loop().time() - begun > 1.0
        assert answers == {2.0, 11.0}, "both serve during the soak"
        assert replica(runtime.state).state.soaked
        assert await runtime.infer(1.0) == 11.0


async def test_a_new_version_that_dies_in_its_soak_is_refused_and_the_old_one_serves_on(
    tmp_path: Path, model: Built
) -> None:
    newer = build(tmp_path / "newer", replace(adder(tmp_path / "saved", 10.0), version="2.0.0"))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        old = replica(state).pid
        await runtime.apply(soaking(newer, 60_000))
        state = await runtime.until(lambda state: phases(state) == [SERVING, SERVING])
        asked = [asyncio.create_task(runtime.infer(1.0, within_s=2.0)) for _ in range(10)]
        os.kill(replica(state, 1).pid, signal.SIGKILL)
        asked += [asyncio.create_task(runtime.infer(1.0, within_s=2.0)) for _ in range(10)]
        assert set(await asyncio.gather(*asked)) <= {2.0, 11.0}
        state = await runtime.until(lambda state: phases(state) == [SERVING, REFUSED])
        assert "in its soak the worker" in replica(state, 1).state.reason
        assert "SIGKILL" in replica(state, 1).state.reason
        assert replica(state).pid == old
        await runtime.apply(model.spec)  # the node goes back to its last good version
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        assert (replica(state).pid, await runtime.infer(1.0)) == (old, 2.0)


async def test_a_new_version_whose_workers_die_while_they_load_is_refused(
    tmp_path: Path, model: Built
) -> None:
    newer = build(tmp_path / "newer", replace(adder(tmp_path / "saved", 10.0), version="2.0.0"))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        await runtime.until(lambda state: phases(state) == [SERVING])
        await runtime.apply(newer.spec)
        killed = {0}
        for _ in range(LOAD_CRASHES_MAX):
            state = await runtime.until(
                lambda state: phases(state)[1:] == [LOADING] and replica(state, 1).pid not in killed
            )
            killed.add(replica(state, 1).pid)
            os.kill(replica(state, 1).pid, signal.SIGKILL)
        state = await runtime.until(lambda state: phases(state) == [SERVING, REFUSED])
        assert "3 times in a row" in replica(state, 1).state.reason
        assert await runtime.infer(1.0) == 2.0


async def test_with_no_old_version_beside_it_a_crash_in_the_soak_is_an_ordinary_one(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(soaking(model, 60_000))
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        victim = replica(state).pid
        os.kill(victim, signal.SIGKILL)
        state = await runtime.until(
            lambda state: replica(state).pid not in (0, victim) and phases(state) == [SERVING]
        )
        assert (replica(state).restarts, replica(state).state.soaked) == (1, False)
        assert runtime.events("replica.refused") == []


async def test_a_model_bomb_is_refused_while_others_serve(tmp_path: Path, model: Built) -> None:
    explosive = build(tmp_path / "bomb", bomb(tmp_path / "saved"))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        await runtime.until(lambda state: phases(state) == [SERVING])
        await runtime.apply(model.spec, named(explosive, "bomb"))
        state = await runtime.until(lambda state: REFUSED in phases(state))
        assert "needs more memory than 256 MiB" in state.replicas[0].state.reason
        assert await runtime.infer(1.0) == 2.0


async def test_a_request_that_wants_all_memory_fails_alone(tmp_path: Path, model: Built) -> None:
    explosive = build(tmp_path / "bomb", late_bomb(tmp_path / "saved"))
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec, named(explosive, "bomb"))
        await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        huge = ModelInferRequest(model_name="bomb")
        huge.inputs.add(name="x", datatype="INT32", shape=[1]).contents.int_contents.append(10**9)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await runtime.inference.ModelInfer(huge, timeout=WAIT_S)
        assert caught.value.code() == grpc.StatusCode.INTERNAL
        assert "could not compute this" in (caught.value.details() or "")
        assert await runtime.infer(1.0) == 2.0


async def test_a_model_that_never_loads_in_time_is_refused_after_two_tries(
    tmp_path: Path,
) -> None:
    late = build(tmp_path / "late", replace(adder(tmp_path / "saved"), load_ms=1))
    late.files[0].unlink()
    os.mkfifo(late.files[0])  # nobody writes: reading it never ends, however fast the machine is
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(late.spec)
        state = await runtime.until(lambda state: phases(state) == [REFUSED])
        assert "limit in the manifest, 2 times" in replica(state).state.reason


async def test_a_missing_file_is_tried_again_until_it_is_there(tmp_path: Path) -> None:
    built = build(tmp_path / "built", adder(tmp_path / "saved"))
    data = built.files[0].read_bytes()
    built.files[0].unlink()
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(built.spec)
        state = await runtime.until(lambda state: phases(state) == [FAILED])
        assert "cannot be read" in replica(state).state.reason
        built.files[0].write_bytes(data)
        await runtime.until(lambda state: phases(state) == [SERVING])


async def test_a_refused_model_is_tried_again_only_when_a_person_asks(tmp_path: Path) -> None:
    built = build(tmp_path / "built", adder(tmp_path / "saved"))
    data = built.files[0].read_bytes()
    built.files[0].write_bytes(data[:-1] + b"?")
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(built.spec)
        state = await runtime.until(lambda state: phases(state) == [REFUSED])
        assert "its digest differs" in replica(state).state.reason
        built.files[0].write_bytes(data)
        asked = RestartWorkloadRequest(workload="faces")
        assert (await runtime.control.Restart(asked, timeout=WAIT_S)).restarted == 1
        await runtime.until(lambda state: phases(state) == [SERVING])


async def test_a_restart_goes_through_one_replica_after_the_other(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec, second(model))
        state = await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        before = {replica(state, n).pid for n in (0, 1)}
        asked = RestartWorkloadRequest(workload="faces")
        restarting = asyncio.ensure_future(runtime.control.Restart(asked, timeout=WAIT_S))
        while not restarting.done():
            assert await runtime.infer(1.0) == 2.0
        assert (await restarting).restarted == 2
        state = await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        assert not before & {replica(state, n).pid for n in (0, 1)}


async def test_a_restart_waits_for_no_replica_that_is_taken_away_meanwhile(
    tmp_path: Path, model: Built
) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec, second(model))
        await runtime.until(lambda state: phases(state) == [SERVING] * 2)
        asked = RestartWorkloadRequest(workload="faces")
        restarting = asyncio.ensure_future(runtime.control.Restart(asked, timeout=WAIT_S))
        await runtime.until(lambda state: LOADING in phases(state))
        await runtime.control.Apply(RuntimeSpec(), timeout=WAIT_S)
        await runtime.until(lambda state: not state.replicas)
        assert (await restarting).restarted == 2


async def test_what_the_spec_no_longer_names_is_drained(tmp_path: Path, model: Built) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        pid = replica(state).pid
        await runtime.control.Apply(RuntimeSpec(), timeout=WAIT_S)
        await runtime.until(lambda state: not state.replicas)
        await runtime.until_journalled("replica.stopped")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_with_one_replica_requests_wait_for_its_return(tmp_path: Path, model: Built) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        os.kill(replica(state).pid, signal.SIGKILL)
        assert await runtime.infer(1.0, within_s=WAIT_S) == 2.0


async def test_a_large_tensor_goes_through_the_shared_memory(tmp_path: Path) -> None:
    recipe: Recipe = adder(tmp_path / "saved", dynamic=True)
    built = build(tmp_path / "built", recipe)
    rows = 100_000
    values = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    asked = ModelInferRequest(model_name="faces", raw_input_contents=[values.tobytes()])
    asked.inputs.add(name="x", datatype="FP32", shape=values.shape)
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(built.spec)
        await runtime.until(lambda state: phases(state) == [SERVING])
        channel = grpc.aio.insecure_channel(
            runtime.state.inference_address, options=[("grpc.max_receive_message_length", 1 << 26)]
        )
        async with channel:
            answer = await GRPCInferenceServiceStub(channel).ModelInfer(asked, timeout=WAIT_S)
        assert answer.raw_output_contents[0] == (values + 1).tobytes()
