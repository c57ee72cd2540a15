"""The agent's end of the runtime's socket, where there is no runtime, or one that does not live."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from mesh.core.messages import ArtifactDamaged, Run, RuntimeReported, Trouble
from mesh.site.local import ReplicaKey
from node.agent import runtime_client
from node.agent.runtime_client import (
    OTHERS_DO_IT,
    RuntimeClient,
    runtime_command,
    runtime_socket,
    stop_runtime,
)
from node.disk.files import Disk
from protos.documents_pb2 import Phase, ReplicaState, ServicePlan
from protos.runtime_pb2 import (
    ApplyRuntimeReply,
    ReplicaSpec,
    ReplicaStatus,
    Route,
    RuntimeEvent,
    RuntimeSpec,
    RuntimeState,
)
from protos.runtime_pb2_grpc import RuntimeServicer, add_RuntimeServicer_to_server
from tests.node.agent.stores import make_stores
from tests.node.agent.waiting import until

AUTHORITY = b"DER of an authority"
WELCOME = RuntimeSpec(revoked_tls_keys=[b"k" * 32], authorities=[AUTHORITY])
DYING = "import sys; print('first'); print('meshd: cannot listen on 127.0.0.1:7410'); sys.exit(1)"


def client(folder: Path, program: str, fed: list[Any]) -> RuntimeClient:
    """An agent's end, whose runtime is this program."""
    (folder / "run").mkdir(exist_ok=True)
    return RuntimeClient(
        runtime_socket(folder),
        [sys.executable, "-c", program],
        folder / "run" / "runtime.log",
        make_stores(folder, Disk()).blobs,
        {},
        fed.append,
        lambda item: None,
        lambda: WELCOME,
    )


async def test_a_runtime_that_ends_is_told_with_its_last_words_once(tmp_path: Path) -> None:
    fed: list[Any] = []
    made = client(tmp_path, DYING, fed)
    assert await made.restart("faces") == 0
    task = asyncio.create_task(made.run())
    await until(lambda: any(isinstance(one, Trouble) for one in fed))
    seen = fed.count(RuntimeReported(None))
    await until(lambda: fed.count(RuntimeReported(None)) >= seen + 2)  # it has looked again
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert RuntimeReported(None) in fed
    troubles = [one for one in fed if isinstance(one, Trouble)]
    said = "meshd: cannot listen on 127.0.0.1:7410" + OTHERS_DO_IT
    assert troubles == [Trouble("Runtime", "runtime", said, "critical")]


async def test_a_runtime_that_says_nothing_is_told_by_its_code(tmp_path: Path) -> None:
    fed: list[Any] = []
    task = asyncio.create_task(client(tmp_path, "import sys; sys.exit(7)", fed).run())
    await until(lambda: any(isinstance(one, Trouble) for one in fed))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert Trouble("Runtime", "runtime", "exit code 7" + OTHERS_DO_IT, "critical") in fed


async def test_a_runtime_that_is_killed_is_told_by_the_signal(tmp_path: Path) -> None:
    killed = "import os; print('of an hour ago', flush=True); os.kill(os.getpid(), 9)"
    fed: list[Any] = []
    task = asyncio.create_task(client(tmp_path, killed, fed).run())
    await until(lambda: any(isinstance(one, Trouble) for one in fed))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    said = "it was killed by signal 9 (Killed)" + OTHERS_DO_IT
    assert Trouble("Runtime", "runtime", said, "critical") in fed


async def test_a_runtime_that_cannot_be_started_is_an_alarm_and_does_not_end_the_agent(
    tmp_path: Path,
) -> None:
    fed: list[Any] = []
    made = client(tmp_path, DYING, fed)
    (tmp_path / "run" / "runtime.log").mkdir()
    task = asyncio.create_task(made.run())
    await until(lambda: task.done() or any(isinstance(one, Trouble) for one in fed))
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (trouble,) = [one for one in fed if isinstance(one, Trouble)]
    assert trouble.message.startswith("it cannot be started: ")


class RuntimeStandIn(RuntimeServicer):
    """Takes what it is told, and says what runs, and no more."""

    def __init__(self, state: RuntimeState) -> None:
        self.state = state
        self.told: list[RuntimeSpec] = []
        self.admits: list[RuntimeSpec] = []
        self.watches = 0
        self.is_older = False

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.watches += 1
        yield RuntimeEvent(state=self.state)
        await asyncio.Event().wait()

    async def Admit(self, request: RuntimeSpec, context: Any) -> ApplyRuntimeReply:  # noqa: N802
        if self.is_older:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        self.admits.append(request)
        if len(self.admits) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return ApplyRuntimeReply()

    async def Apply(self, request: RuntimeSpec, context: Any) -> ApplyRuntimeReply:  # noqa: N802
        self.told.append(request)
        return ApplyRuntimeReply()


@asynccontextmanager
async def told_by(
    made: RuntimeClient, folder: Path, state: RuntimeState | None = None
) -> AsyncIterator[RuntimeStandIn]:
    """A stand-in for the runtime, which the agent's end tells."""
    runtime, server = RuntimeStandIn(state or RuntimeState()), grpc.aio.server()
    add_RuntimeServicer_to_server(runtime, server)
    server.add_insecure_port(f"unix:{runtime_socket(folder)}")
    await server.start()
    task = asyncio.create_task(made.run())
    try:
        yield runtime
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop(None)
        if made._process is not None:
            await asyncio.to_thread(made._process.wait)


KEY = ReplicaKey("faces", 0, "config")
PLAN = ServicePlan(name="faces", artifact=b"a" * 32)


async def test_a_damaged_artifact_is_told_to_the_core_and_all_else_to_the_runtime(
    tmp_path: Path,
) -> None:
    fed: list[Any] = []
    made = client(tmp_path, DYING, fed)
    async with told_by(made, tmp_path) as runtime:
        made.tell(Run(((KEY, PLAN),), (), (), ()))
        await until(lambda: runtime.told)
        assert [list(spec.replicas) for spec in runtime.told] == [[]]
        assert list(runtime.told[0].revoked_tls_keys) == [b"k" * 32]
        assert list(runtime.told[0].authorities) == [AUTHORITY]
        (damaged,) = [one for one in fed if isinstance(one, ArtifactDamaged)]
        assert (damaged.artifact, damaged.untold) == (PLAN.artifact, KEY)
        made.tell(Run((), (), (Route(workload="faces", node="n2"),), ()))
        await until(lambda: len(runtime.told) == 2)


async def test_who_is_welcome_is_told_at_once_and_again_until_it_is_taken(tmp_path: Path) -> None:
    made = client(tmp_path, DYING, [])
    async with told_by(made, tmp_path) as runtime:
        await until(lambda: len(runtime.admits) == 2)
        assert runtime.admits == [WELCOME, WELCOME]
        assert runtime.told == []  # nothing was said of what should run


async def test_a_runtime_of_the_release_before_hears_who_is_welcome_with_what_should_run(
    tmp_path: Path,
) -> None:
    made = client(tmp_path, DYING, [])
    async with told_by(made, tmp_path) as runtime:
        runtime.is_older = True
        made.tell(Run((), (), (), ()))
        await until(lambda: runtime.told)
        assert list(runtime.told[-1].revoked_tls_keys) == [b"k" * 32]


async def test_what_runs_goes_on_while_its_artifact_is_damaged(tmp_path: Path) -> None:
    made = client(tmp_path, DYING, [])
    before = ReplicaSpec(workload="faces", config="config", files=["/was/here"])
    made._told = {KEY: before}
    spec, (damaged,) = made._spec(Run(((KEY, PLAN),), (), (), ()))
    assert list(spec.replicas) == [before]
    assert damaged.untold is None


def serving(phase: Phase) -> RuntimeState:
    state = ReplicaState(workload="faces", config="config", phase=phase)
    return RuntimeState(replicas=[ReplicaStatus(state=state, pid=7)])


async def test_what_an_agent_adopts_goes_on_while_its_artifact_is_damaged(tmp_path: Path) -> None:
    fed: list[Any] = []
    made = client(tmp_path, DYING, fed)
    async with told_by(made, tmp_path, serving(Phase.SERVING)) as runtime:
        made.tell(Run(((KEY, PLAN),), (), (), ()))
        await until(lambda: runtime.told)
        (told,) = runtime.told[0].replicas
        assert (told.workload, told.index, told.config) == (KEY.workload, KEY.index, KEY.config)
        (damaged,) = [one for one in fed if isinstance(one, ArtifactDamaged)]
        assert (damaged.artifact, damaged.untold) == (PLAN.artifact, None)


async def test_what_does_not_serve_is_not_kept_with_a_damaged_artifact(tmp_path: Path) -> None:
    made = client(tmp_path, DYING, [])
    async with told_by(made, tmp_path, serving(Phase.LOADING)) as runtime:
        made.tell(Run(((KEY, PLAN),), (), (), ()))
        await until(lambda: runtime.told)
        assert list(runtime.told[0].replicas) == []


async def test_when_telling_fails_the_agent_connects_anew(tmp_path: Path) -> None:
    made = client(tmp_path, DYING, [])
    async with told_by(made, tmp_path) as runtime:
        await until(lambda: runtime.watches == 1)
        made.tell(None)  # type: ignore[arg-type]
        made.tell("no instruction")  # type: ignore[arg-type]
        await until(lambda: runtime.watches == 2)
        made.tell(Run((), (), (), ()))
        await until(lambda: runtime.told)


def test_the_runtimes_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "runtime.log"
    assert runtime_client._fresh_log(log) == log
    log.write_bytes(bytes(runtime_client.LOG_BYTES_MAX + 1))
    runtime_client._fresh_log(log)
    assert not log.exists()
    assert (tmp_path / "runtime.old").exists()


def test_there_is_nothing_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "runtime.sock"
    assert stop_runtime(path) is False
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert stop_runtime(path) is False


def test_how_a_runtime_is_started(tmp_path: Path) -> None:
    plain = runtime_command(None, tmp_path)
    assert plain[1:] == ["-m", "node.agent.main", "runtime", "--data", str(tmp_path)]
    config = tmp_path / "meshd.toml"
    assert runtime_command(config, tmp_path) == [*plain, "--config", str(config)]
