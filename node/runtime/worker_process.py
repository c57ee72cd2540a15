"""One life of one worker: started, loaded, serving, ended."""

import socket
import tempfile
from pathlib import Path

from node.runtime import child
from node.runtime.child import Child
from node.runtime.limits import (
    LOAD_S_DEFAULT,
    LOAD_S_MAX,
    REPLICA_MEMORY_BYTES_DEFAULT,
    STALL_LATENCIES,
    STALL_S_MIN,
    WORKER_RESERVE_BYTES,
)
from node.runtime.manifest import load_limit_ms
from node.runtime.shared_memory import SharedMemory
from node.runtime.tensors import Tensor
from node.runtime.worker_link import WorkerLink
from protos.runtime_pb2 import (
    ReplicaSpec,
    WorkerLoad,
    WorkerLoaded,
    WorkerPing,
    WorkerReply,
    WorkerRequest,
)


class ModelRefused(Exception):
    """The worker will not serve this model, and says why. Trying again is of no use."""


class LoadFailed(Exception):
    """The worker could not load the model this time."""


class WorkerProcess:
    """A worker process and the link to it."""

    def __init__(self, spec: ReplicaSpec, scratch: Path) -> None:
        """Starts the process, with a folder of its own in `scratch`. Raises OSError."""
        self.spec = spec
        self.loaded = WorkerLoaded()
        self.requests = 0
        # Files that some readers of models want; the runtime clears up after a killed worker.
        self._scratch = tempfile.TemporaryDirectory(dir=scratch)
        self._memory = SharedMemory()
        ours, theirs = socket.socketpair()
        try:
            self.child = self._start(theirs)
        except OSError:
            ours.close()
            self._clear_up()
            raise
        finally:
            theirs.close()
        self.link = WorkerLink(ours, self._memory)

    @property
    def version(self) -> str:
        """The model's version that it serves."""
        return self.spec.model_version

    async def load(self) -> None:
        """Waits until the model is loaded and checked.

        Raises ModelRefused, LoadFailed, WorkerGone or WorkerStalled.
        """
        await self.link.open()
        request = WorkerRequest(load=WorkerLoad(replica=self.spec))
        reply = await self.link.ask(request, self._load_limit_s())
        if reply.error_kind == "refused":
            raise ModelRefused(reply.error)
        if reply.error:
            raise LoadFailed(reply.error)
        self.loaded = reply.loaded

    async def infer(
        self, inputs: list[Tensor], outputs: list[str]
    ) -> tuple[WorkerReply, list[Tensor]]:
        """One inference. Raises WorkerGone; what the worker itself objects to is in the reply."""
        self.requests += 1
        usual_s = self.loaded.golden_latency_us_max / 1e6
        return await self.link.infer(inputs, outputs, max(STALL_S_MIN, STALL_LATENCIES * usual_s))

    async def ping(self) -> None:
        """Finds out whether an idle worker still answers; `link.gone` says if not."""
        await self.link.ask(WorkerRequest(ping=WorkerPing()), STALL_S_MIN)

    async def end(self, *, at_once: bool) -> str:
        """Ends the process and frees all that it had; how it ended, in words."""
        try:
            status = await (self.child.kill() if at_once else self.child.end())
        finally:
            await self.link.close()
            self._clear_up()
        return child.describe_exit(status)

    def _start(self, connection: socket.socket) -> Child:
        limit = self.spec.memory_bytes or REPLICA_MEMORY_BYTES_DEFAULT
        handed = (connection.fileno(), self._memory.descriptor)
        arguments = ["--socket-fd", str(handed[0]), "--memory-fd", str(handed[1])]
        return child.start(
            "node.worker",
            arguments,
            data_bytes=limit + WORKER_RESERVE_BYTES,
            descriptors=handed,
            environment={"TMPDIR": self._scratch.name},
        )

    def _load_limit_s(self) -> float:
        stated = load_limit_ms(self.spec.manifest) / 1000
        return min(stated or LOAD_S_DEFAULT, LOAD_S_MAX)

    def _clear_up(self) -> None:
        self._memory.close()
        self._scratch.cleanup()
