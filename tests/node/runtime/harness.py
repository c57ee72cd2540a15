"""A real runtime, on the test's loop or in a process of its own, and what the tests ask of it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import numpy as np

from node.runtime.config import RuntimeConfig, TlsPaths
from node.runtime.daemon import run
from protos.documents_pb2 import Phase
from protos.inference_pb2 import ModelInferRequest, ModelInferResponse
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import (
    JournalItem,
    ReplicaStatus,
    RuntimeSpec,
    RuntimeState,
    StopRequest,
    WatchRuntimeRequest,
)
from protos.runtime_pb2_grpc import RuntimeStub

WAIT_S = 30.0
"""How long anything may take on a busy machine before a test gives up."""

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
import uvloop
from node.runtime.config import RuntimeConfig, TlsPaths
from node.runtime.daemon import run
given = json.loads(sys.argv[1])
tls = given.pop("tls", None)
paths = {key: Path(given.pop(key)) for key in ("socket_path", "data_dir")}
tls = TlsPaths(**{key: Path(value) for key, value in tls.items()}) if tls else None
uvloop.run(run(RuntimeConfig(**paths, tls=tls, **given)))
for name in ("openvino", "cv2", "typer", "rich", "pydantic"):
    assert name not in sys.modules, name
"""


class RunningRuntime:
    """A runtime, seen through its sockets."""

    def __init__(self, socket_path: Path) -> None:
        self.channel = grpc.aio.insecure_channel(f"unix:{socket_path}")
        self.control = RuntimeStub(self.channel)
        self.state = RuntimeState()
        self.journal: list[JournalItem] = []
        self._changed = asyncio.Condition()
        self._watching: asyncio.Task[None] | None = None
        self.inference_channel: grpc.aio.Channel | None = None

    @property
    def inference(self) -> GRPCInferenceServiceStub:
        """The clear inference port."""
        if self.inference_channel is None:
            self.inference_channel = grpc.aio.insecure_channel(self.state.inference_address)
        return GRPCInferenceServiceStub(self.inference_channel)

    async def watch(self) -> None:
        """Follows state and journal from now on."""
        self._watching = asyncio.create_task(self._follow())
        await self.until(lambda state: state.pid != 0)

    async def apply(self, *replicas: object, **more: object) -> None:
        """Applies a spec of these replicas."""
        spec = RuntimeSpec(replicas=replicas, **more)  # type: ignore[arg-type]
        await self.control.Apply(spec, timeout=WAIT_S)

    async def now(self) -> RuntimeState:
        """The state as it is, also where nothing has changed since it was told."""
        watch = self.control.Watch(WatchRuntimeRequest(), timeout=WAIT_S)
        async for event in watch:
            watch.cancel()
            return event.state
        raise AssertionError("a watch begins with the state")

    async def until(self, holds: Callable[[RuntimeState], object]) -> RuntimeState:
        """Waits until the state is so."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: holds(self.state))
            return self.state

    async def until_journalled(self, event: str, count: int = 1) -> list[JournalItem]:
        """Waits until so many items of this kind were journalled."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.events(event)) >= count)
        return self.events(event)

    def events(self, event: str) -> list[JournalItem]:
        """The items of this kind so far."""
        return [item for item in self.journal if item.event == event]

    async def infer(
        self, value: float = 1.0, *, name: str = "faces", within_s: float = 5.0, version: str = ""
    ) -> float:
        """What the model makes of a tensor full of `value`: its first element."""
        answer: ModelInferResponse = await self.inference.ModelInfer(
            request(value, name=name, version=version), timeout=within_s
        )
        return float(np.frombuffer(answer.raw_output_contents[0], np.float32)[0])

    async def close(self) -> None:
        """Ends what this end holds open."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        if self.inference_channel is not None:
            await self.inference_channel.close()
        await self.channel.close()

    async def _follow(self) -> None:
        stream = self.control.Watch(WatchRuntimeRequest(), timeout=10 * WAIT_S, wait_for_ready=True)
        async for event in stream:
            async with self._changed:
                if event.HasField("state"):
                    self.state = event.state
                else:
                    self.journal.append(event.journal)
                self._changed.notify_all()


def request(value: float = 1.0, *, name: str = "faces", version: str = "") -> ModelInferRequest:
    """A request for a model that takes one tensor x of 1 x 4."""
    whole = ModelInferRequest(model_name=name, model_version=version, id="7")
    whole.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    whole.raw_input_contents.append(np.full((1, 4), value, np.float32).tobytes())
    return whole


def phases(state: RuntimeState) -> list[Phase]:
    """The replicas' phases, in order."""
    return [replica.state.phase for replica in state.replicas]


def replica(state: RuntimeState, index: int = 0) -> ReplicaStatus:
    """The status of one replica."""
    return state.replicas[index]


def configuration(folder: Path, **more: object) -> dict[str, object]:
    """A runtime's configuration in `folder`, on ports of the system's choice."""
    return {
        "socket_path": str(folder / "run" / "runtime.sock"),
        "data_dir": str(folder),
        "node": "n1",
        "mesh": "test",
        "site": "north",
        "inference_address": "127.0.0.1:0",
        **more,
    }


def start(config: dict[str, object]) -> subprocess.Popen[bytes]:
    """A runtime process with this configuration."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(config)])


@asynccontextmanager
async def followed(folder: Path) -> AsyncIterator[RunningRuntime]:
    """The runtime that serves in `folder`; its journal and state are followed."""
    runtime = RunningRuntime(folder / "run" / "runtime.sock")
    try:
        await runtime.watch()
        yield runtime
    finally:
        await runtime.close()


@asynccontextmanager
async def runtime_process(
    folder: Path, **more: object
) -> AsyncIterator[tuple[RunningRuntime, "subprocess.Popen[bytes]"]]:
    """A runtime in a process of its own, ended by SIGTERM."""
    process = start(configuration(folder, **more))
    try:
        async with followed(folder) as runtime:
            yield runtime, process
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, WAIT_S)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def runtime_here(
    folder: Path, tls: TlsPaths | None = None, peer: str | None = None
) -> AsyncIterator[RunningRuntime]:
    """A runtime on this test's own loop; its workers are processes all the same."""
    config = RuntimeConfig(
        socket_path=folder / "run" / "runtime.sock",
        data_dir=folder,
        node="n1",
        mesh="test",
        site="north",
        inference_address="127.0.0.1:0",
        peer_inference_address=peer,
        tls=tls,
    )
    running = asyncio.create_task(run(config))
    try:
        async with followed(folder) as runtime:
            yield runtime
            await runtime.control.Stop(StopRequest(), timeout=WAIT_S)
            await running
    finally:
        running.cancel()
        await asyncio.wait({running})
