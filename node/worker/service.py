"""The worker's loop: one request at a time from the runtime, one answer each.

Ends when the runtime closes its end, or on SIGTERM, in both cases after the answer to the request
at hand. The loop has no other state than the model, so that killing it loses nothing.
"""

import signal
import socket

from google.protobuf.message import DecodeError

from node.worker import frames
from node.worker.artifact import read_artifact
from node.worker.errors import FailedError, InvalidError, RefusedError
from node.worker.model import Model, load
from node.worker.tensors import SharedMemory, to_array, to_tensors
from protos.runtime_pb2 import WorkerInfer, WorkerLoad, WorkerReply, WorkerRequest

ERRORS = (RefusedError, InvalidError, FailedError)


class Worker:
    """Serves the runtime at the other end of `connection`."""

    def __init__(self, connection: socket.socket, shared: SharedMemory) -> None:
        self._connection = connection
        self._shared = shared
        self._model: Model | None = None

    def serve(self) -> None:
        """Answers until the runtime or SIGTERM ends it."""
        signal.signal(signal.SIGTERM, lambda *_: self._connection.shutdown(socket.SHUT_RD))
        while (payload := frames.receive(self._connection)) is not None:
            frames.send(self._connection, self.answer(payload).SerializeToString())

    def answer(self, payload: bytes) -> WorkerReply:
        """The reply to one request; what goes wrong is in it."""
        try:
            request = WorkerRequest.FromString(payload)
        except DecodeError:
            return WorkerReply(error="the request is no message", error_kind=InvalidError.kind)
        try:
            reply = self._carry_out(request)
        except ERRORS as error:
            reply = WorkerReply(error=str(error), error_kind=error.kind)
        except MemoryError:
            text = "the worker's memory cap is too small for this"
            reply = WorkerReply(error=text, error_kind=FailedError.kind)
        reply.id = request.id
        return reply

    def _carry_out(self, request: WorkerRequest) -> WorkerReply:
        match request.WhichOneof("kind"):
            case "ping":
                return WorkerReply()
            case "load":
                return self._load(request.load)
            case "infer":
                return self._infer(request.infer)
        raise InvalidError("a request of an unknown kind")

    def _load(self, request: WorkerLoad) -> WorkerReply:
        if self._model is not None:
            raise InvalidError("this worker has its model; start another for another")
        replica = request.replica
        try:
            artifact = read_artifact(replica.manifest, replica.files)
        except MemoryError:
            raise RefusedError("the model's files are larger than its memory limit") from None
        self._model, loaded = load(artifact, replica)
        return WorkerReply(loaded=loaded)

    def _infer(self, request: WorkerInfer) -> WorkerReply:
        if self._model is None:
            raise FailedError("no model is loaded yet")
        inputs = {
            tensor.name: (tensor.datatype, to_array(tensor, self._shared))
            for tensor in request.inputs
        }
        outputs = self._model.infer(inputs, request.outputs)
        return WorkerReply(outputs=to_tensors(outputs, self._shared))
