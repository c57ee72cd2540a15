"""What a model takes and gives, told by whoever serves it."""

from collections.abc import Callable, Iterable

from node.runtime.catalogue import Target
from node.runtime.deadline import Deadline
from node.runtime.dispatch import Dispatcher
from node.runtime.errors import RequestFailed, unavailable
from node.runtime.neighbours import HOP
from node.runtime.worker_process import WorkerProcess
from protos.inference_pb2 import ModelMetadataRequest, ModelMetadataResponse
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import TensorInfo

PLATFORM = "openvino"


class Describer:
    """Describes models; `reason_of` says why a workload does not serve here."""

    def __init__(self, dispatcher: Dispatcher, reason_of: Callable[[str], str]) -> None:
        self._dispatcher = dispatcher
        self._reason_of = reason_of

    def why_not(self, workload: str) -> str:
        """Why nobody answers for `workload`."""
        sleeps = self._dispatcher.catalogue.may_sleep(workload)
        none = "it sleeps: a request wakes it" if sleeps else "no replica of it serves at this site"
        return self._reason_of(workload) or none

    async def describe(
        self, request: ModelMetadataRequest, deadline: Deadline, *, hop: bool
    ) -> ModelMetadataResponse:
        """The metadata. Raises RequestFailed."""
        target = self._dispatcher.catalogue.find(request.name, request.version)
        while True:
            for worker in self._dispatcher.queues[target.workload].members:
                if target.version in ("", worker.version):
                    return self._of(worker, request.name, target)
            refusal = unavailable(self.why_not(target.workload))
            if not hop and self._dispatcher.neighbours.routes(target.workload):
                try:
                    return await self._elsewhere(request, target, deadline)
                except RequestFailed as failure:
                    refusal = failure
            await self._dispatcher.wait(target, refusal, deadline, hop=hop)

    async def _elsewhere(
        self, request: ModelMetadataRequest, target: Target, deadline: Deadline
    ) -> ModelMetadataResponse:
        forwarded = ModelMetadataRequest(name=target.workload, version=request.version)

        async def call(stub: GRPCInferenceServiceStub, limit_s: float) -> ModelMetadataResponse:
            answer: ModelMetadataResponse = await stub.ModelMetadata(
                forwarded, timeout=limit_s, metadata=HOP
            )
            return answer

        response = await self._dispatcher.neighbours.ask(target.workload, call, deadline)
        response.name = request.name
        return response

    def _of(self, worker: WorkerProcess, name: str, target: Target) -> ModelMetadataResponse:
        response = ModelMetadataResponse(name=name, platform=PLATFORM)
        response.versions.extend(self._dispatcher.catalogue.versions(target.workload))
        _describe(worker.loaded.inputs, response.inputs.add)
        _describe(worker.loaded.outputs, response.outputs.add)
        response.properties["model"] = worker.spec.model
        response.properties["model_version"] = worker.version
        if worker.loaded.threshold:
            response.properties["threshold"] = f"{worker.loaded.threshold:g}"
        return response


def _describe(
    tensors: Iterable[TensorInfo],
    add: Callable[..., ModelMetadataResponse.TensorMetadata],
) -> None:
    for tensor in tensors:
        add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
