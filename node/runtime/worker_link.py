"""The runtime's end of the socket pair to one worker: one question at a time, each with a limit.

A worker is judged by progress. One that does not answer in time hangs, and the caller kills it;
the judgement allows for the runtime itself having stood still (STALL_GRACE_S).
"""

import asyncio
import socket
from typing import Any

from google.protobuf.message import DecodeError

from node.runtime.limits import (
    FRAME_BYTES_MAX,
    INLINE_BYTES_MAX,
    STALL_GRACE_S,
    TENSOR_ALIGNMENT_BYTES,
)
from node.runtime.shared_memory import SharedMemory
from node.runtime.tensors import Tensor
from protos.runtime_pb2 import WorkerInfer, WorkerReply, WorkerRequest, WorkerTensor

HEADER_BYTES = 4


class WorkerGone(Exception):
    """The worker ended, hangs or talks nonsense: what it was asked is not answered."""


class WorkerStalled(WorkerGone):
    """The worker made no progress in the time that it was given."""


class WorkerLink:
    """Questions to one worker. `gone` is done, with the reason, once it cannot be asked again."""

    def __init__(self, connection: socket.socket, memory: SharedMemory) -> None:
        self._socket = connection
        self._memory = memory
        self._turn = asyncio.Lock()
        self._last_id = 0
        self._answer: asyncio.Future[WorkerReply] | None = None
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Begins to listen to the worker."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._reading = asyncio.create_task(self._read(reader))

    async def close(self) -> None:
        """Ends the connection; the worker sees its end and ends too."""
        self.fail("was stopped")
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._writer is not None:
            self._writer.transport.abort()

    @property
    def busy(self) -> bool:
        """Whether the worker is at work on a question."""
        return self._turn.locked()

    async def idle(self, limit_s: float) -> None:
        """Waits until the worker is at work on nothing, at most `limit_s` seconds."""
        try:
            async with asyncio.timeout(limit_s), self._turn:
                return
        except TimeoutError:
            return

    def fail(self, reason: str) -> None:
        """Declares the worker gone; who waits for an answer is told."""
        if not self.gone.done():
            self.gone.set_result(reason)

    async def ask(self, request: WorkerRequest, limit_s: float) -> WorkerReply:
        """The worker's reply. Raises WorkerGone, or WorkerStalled after `limit_s` seconds."""
        async with self._turn:
            return await self._exchange(request, limit_s)

    async def infer(
        self, inputs: list[Tensor], outputs: list[str], limit_s: float
    ) -> tuple[WorkerReply, list[Tensor]]:
        """The reply to an inference and its output tensors. Raises like `ask`."""
        async with self._turn:
            tensors = self._place(inputs)
            request = WorkerRequest(infer=WorkerInfer(inputs=tensors, outputs=outputs))
            reply = await self._exchange(request, limit_s)
            return reply, self._collect(reply)

    async def _exchange(self, request: WorkerRequest, limit_s: float) -> WorkerReply:
        if self.gone.done() or self._writer is None:
            raise WorkerGone(self.gone.result() if self.gone.done() else "was not started")
        self._last_id += 1
        request.id = self._last_id
        payload = request.SerializeToString()
        self._answer = asyncio.get_running_loop().create_future()
        self._writer.write(len(payload).to_bytes(HEADER_BYTES, "little") + payload)
        waiting: set[asyncio.Future[Any]] = {self._answer, self.gone}
        for limit in (limit_s, STALL_GRACE_S):
            await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if self._answer.done():
                return self._answer.result()
            if self.gone.done():
                raise WorkerGone(self.gone.result())
        self.fail(f"made no progress in {limit_s:.1f} s")
        raise WorkerStalled(self.gone.result())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                header = await reader.readexactly(HEADER_BYTES)
                length = int.from_bytes(header, "little")
                if length > FRAME_BYTES_MAX:
                    raise ValueError(f"announced a frame of {length} bytes")
                self._deliver(WorkerReply.FromString(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            self.fail("ended")
        except (ValueError, DecodeError) as error:
            self.fail(f"talks nonsense: {error}")

    def _deliver(self, reply: WorkerReply) -> None:
        if self._answer is None or self._answer.done() or reply.id != self._last_id:
            raise ValueError("it answered what nobody asked")
        self._answer.set_result(reply)

    def _place(self, inputs: list[Tensor]) -> list[WorkerTensor]:
        tensors, offset, inline = [], 0, 0
        for tensor in inputs:
            placed = WorkerTensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            size = len(tensor.data)
            if inline + size <= INLINE_BYTES_MAX:
                placed.data = tensor.data
                inline += size
            else:
                self._memory.write(offset, tensor.data)
                placed.offset, placed.length = offset, size
                offset += -(-size // TENSOR_ALIGNMENT_BYTES) * TENSOR_ALIGNMENT_BYTES
            tensors.append(placed)
        return tensors

    def _collect(self, reply: WorkerReply) -> list[Tensor]:
        try:
            return [
                Tensor(
                    name=output.name,
                    datatype=output.datatype,
                    shape=tuple(output.shape),
                    data=self._memory.read(output.offset, output.length)
                    if output.length
                    else output.data,
                )
                for output in reply.outputs
            ]
        except ValueError as error:
            self.fail(f"talks nonsense: {error}")
            raise WorkerGone(self.gone.result()) from None
