"""The runtime as a process: what outlives whom, and what is left behind. Nothing."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.runtime.child import LEASH
from node.runtime.config import RuntimeConfig
from node.runtime.daemon import run
from node.runtime.servers import CannotListen
from protos.documents_pb2 import SERVING
from tests.node.runtime.harness import (
    WAIT_S,
    configuration,
    followed,
    phases,
    replica,
    runtime_here,
    runtime_process,
    start,
)
from tests.node.worker.models import Built


async def ended(pid: int) -> None:
    """Waits until a process has ended."""
    descriptor = os.pidfd_open(pid)
    done = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, done.set)
    try:
        async with asyncio.timeout(WAIT_S):
            await done.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_it_ends_in_good_order_and_loads_no_openvino(tmp_path: Path, model: Built) -> None:
    async with runtime_process(tmp_path) as (runtime, process):
        await runtime.apply(model.spec)
        state = await runtime.until(lambda state: phases(state) == [SERVING])
        worker = replica(state).pid
        assert (tmp_path / "run" / "runtime.sock").stat().st_mode & 0o777 == 0o600
        assert await runtime.infer(1.0) == 2.0
        # A session of its own: nothing that is sent to the runtime's group reaches it.
        assert os.getpgid(worker) == worker
    # The program itself fails if the runtime has imported what it must not.
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


async def test_an_agent_that_returns_adopts_what_it_finds(tmp_path: Path, model: Built) -> None:
    async with runtime_process(tmp_path) as (first_agent, _):
        await first_agent.apply(model.spec)
        state = await first_agent.until(lambda state: phases(state) == [SERVING])
        worker = replica(state).pid
        await first_agent.close()
        async with followed(tmp_path) as second_agent:
            await second_agent.apply(model.spec)
            state = await second_agent.until(lambda state: phases(state) == [SERVING])
            assert replica(state).pid == worker
            assert replica(state).restarts == 0


async def test_a_killed_runtime_leaves_no_orphans_and_can_start_again(
    tmp_path: Path, model: Built
) -> None:
    process = start(configuration(tmp_path))
    try:
        async with followed(tmp_path) as runtime:
            await runtime.apply(model.spec)
            state = await runtime.until(lambda state: phases(state) == [SERVING])
            worker = replica(state).pid
            gone = asyncio.create_task(ended(worker))
            await asyncio.sleep(0)
            process.kill()
            await gone
    finally:
        process.kill()
        process.wait()
    async with runtime_process(tmp_path) as (again, _):
        await again.apply(model.spec)
        await again.until(lambda state: phases(state) == [SERVING])


async def test_a_second_runtime_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with runtime_here(tmp_path):
        with pytest.raises(CannotListen, match="another runtime already serves"):
            await run(config(tmp_path, "127.0.0.1:0"))


async def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    async with runtime_here(tmp_path / "1") as runtime:
        taken = runtime.state.inference_address
        with pytest.raises(CannotListen, match=rf"{taken}.*set inference\.listen"):
            await run(config(tmp_path / "2", taken))


async def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="shorter path"):
        await run(config(tmp_path / ("d" * 100), "127.0.0.1:0"))


def config(folder: Path, address: str) -> RuntimeConfig:
    return RuntimeConfig(
        socket_path=folder / "run" / "runtime.sock",
        data_dir=folder,
        node="n1",
        mesh="test",
        site="north",
        inference_address=address,
    )


def test_a_child_whose_parent_is_another_does_not_start() -> None:
    arguments = [sys.executable, "-I", "-S", LEASH, "1", str(1 << 30), "node.worker"]
    assert subprocess.run(arguments, check=False, timeout=WAIT_S).returncode == 1


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_a_worker_is_capped_and_first_to_die(tmp_path: Path, model: Built) -> None:
    async with runtime_here(tmp_path) as runtime:
        await runtime.apply(model.spec)
        pid = replica(await runtime.until(lambda state: phases(state) == [SERVING])).pid
        cap = (256 + 192) << 20
        assert resource.prlimit(pid, resource.RLIMIT_DATA) == (cap, cap)
        assert oom_score(pid) == 500
        os.kill(pid, signal.SIGKILL)
        died = await runtime.until_journalled("replica.died")
        assert died[0].cause == "the worker was killed by SIGKILL"
