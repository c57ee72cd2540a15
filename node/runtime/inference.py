"""The Open Inference Protocol's service, as clients of any such server expect it.

Decisions where servers differ: `ModelReady` of an unknown model is `ready: false`, as users of
tritonclient expect, not an error. `ServerReady` is true while the node knows its plan and each
service of the site has somebody to answer; it becomes false again when that ceases (nothing here
is sticky). A service that sleeps is ready: a request wakes it and is answered. Loading and
unloading are the mesh's: such a call does nothing where it would change nothing, and is refused
otherwise. Answers are raw.
"""

from collections.abc import AsyncIterable, AsyncIterator
from importlib.metadata import version
from typing import Any, NoReturn

import grpc
import grpc.aio

from node.runtime.catalogue import Target
from node.runtime.deadline import Deadline
from node.runtime.dispatch import Dispatcher
from node.runtime.errors import RequestFailed
from node.runtime.metadata import Describer
from node.runtime.neighbours import HOP_KEY
from protos import inference_pb2 as v2
from protos.inference_pb2_grpc import GRPCInferenceServiceServicer

Context = Any
"""A grpc.aio.ServicerContext of whichever messages."""

EXTENSIONS = ("model_repository",)
READY = "READY"
UNAVAILABLE = "UNAVAILABLE"


class InferenceService(GRPCInferenceServiceServicer):
    """Every method of the protocol; the same object serves the clear and the mTLS port."""

    def __init__(self, dispatcher: Dispatcher, describer: Describer) -> None:
        self._dispatcher = dispatcher
        self._describer = describer
        self._version = version("edge-mesh")

    async def ServerLive(  # noqa: N802
        self, request: v2.ServerLiveRequest, context: Context
    ) -> v2.ServerLiveResponse:
        """Whether the server runs: it answers, so it does."""
        return v2.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, request: v2.ServerReadyRequest, context: Context
    ) -> v2.ServerReadyResponse:
        """Whether every service of the site has somebody to answer."""
        catalogue = self._dispatcher.catalogue
        ready = catalogue.known and all(map(self._ready, catalogue.services))
        return v2.ServerReadyResponse(ready=ready)

    async def ModelReady(  # noqa: N802
        self, request: v2.ModelReadyRequest, context: Context
    ) -> v2.ModelReadyResponse:
        """Whether a request for this model would find somebody to answer it."""
        try:
            target = self._dispatcher.catalogue.find(request.name, request.version)
        except RequestFailed:
            return v2.ModelReadyResponse(ready=False)
        return v2.ModelReadyResponse(ready=self._dispatcher.ready(target))

    async def ServerMetadata(  # noqa: N802
        self, request: v2.ServerMetadataRequest, context: Context
    ) -> v2.ServerMetadataResponse:
        """Name, version and extensions of this server."""
        return v2.ServerMetadataResponse(name="meshd", version=self._version, extensions=EXTENSIONS)

    async def ModelMetadata(  # noqa: N802
        self, request: v2.ModelMetadataRequest, context: Context
    ) -> v2.ModelMetadataResponse:
        """Inputs and outputs of a model, from whoever serves it."""
        try:
            return await self._describer.describe(request, _deadline(context), hop=_hop(context))
        except RequestFailed as failure:
            await _abort(context, failure)

    async def ModelInfer(  # noqa: N802
        self, request: v2.ModelInferRequest, context: Context
    ) -> v2.ModelInferResponse:
        """One inference."""
        try:
            return await self._dispatcher.infer(request, _deadline(context), hop=_hop(context))
        except RequestFailed as failure:
            await _abort(context, failure)

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterable[v2.ModelInferRequest], context: Context
    ) -> AsyncIterator[v2.ModelStreamInferResponse]:
        """Inferences in order; one that fails says so in its answer and ends nothing."""
        hop = _hop(context)
        async for request in requests:
            try:
                response = await self._dispatcher.infer(request, _deadline(context), hop=hop)
                yield v2.ModelStreamInferResponse(infer_response=response)
            except RequestFailed as failure:
                named = v2.ModelInferResponse(model_name=request.model_name, id=request.id)
                yield v2.ModelStreamInferResponse(error_message=failure.text, infer_response=named)

    async def RepositoryIndex(  # noqa: N802
        self, request: v2.RepositoryIndexRequest, context: Context
    ) -> v2.RepositoryIndexResponse:
        """The services of the site, each version once."""
        response = v2.RepositoryIndexResponse()
        catalogue = self._dispatcher.catalogue
        for name in catalogue.services:
            for model_version in catalogue.versions(name) or [""]:
                target = Target(name, model_version)
                ready = self._dispatcher.ready(target)
                if ready or not request.ready:
                    state = READY if ready else UNAVAILABLE
                    serves = self._dispatcher.available(target)
                    reason = "" if serves else self._describer.why_not(name)
                    response.models.add(
                        name=name, version=model_version, state=state, reason=reason
                    )
        return response

    async def RepositoryModelLoad(  # noqa: N802
        self, request: v2.RepositoryModelLoadRequest, context: Context
    ) -> v2.RepositoryModelLoadResponse:
        """Does nothing where the model serves already; refused otherwise."""
        await self._only_if(True, request, context)
        return v2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(  # noqa: N802
        self, request: v2.RepositoryModelUnloadRequest, context: Context
    ) -> v2.RepositoryModelUnloadResponse:
        """Does nothing where the model serves nowhere; refused otherwise."""
        await self._only_if(False, request, context)
        return v2.RepositoryModelUnloadResponse()

    def _ready(self, workload: str) -> bool:
        return self._dispatcher.ready(Target(workload, ""))

    async def _only_if(
        self,
        wanted: bool,
        request: v2.RepositoryModelLoadRequest | v2.RepositoryModelUnloadRequest,
        context: Context,
    ) -> None:
        try:
            target = self._dispatcher.catalogue.find(request.model_name, "")
        except RequestFailed as failure:
            await _abort(context, failure)
        if self._dispatcher.available(target) != wanted or request.parameters:
            code = grpc.StatusCode.FAILED_PRECONDITION
            text = (
                "the mesh decides what is loaded, nothing was changed: "
                "write a Service resource and run `meshctl apply -f FILE`"
            )
            await _abort(context, RequestFailed(code, text))


async def _abort(context: Context, failure: RequestFailed) -> NoReturn:
    await context.abort(failure.code, failure.text)
    raise AssertionError("abort raises")


def _deadline(context: Context) -> Deadline:
    return Deadline.after(context.time_remaining())


def _hop(context: Context) -> bool:
    return any(key == HOP_KEY for key, _ in context.invocation_metadata() or ())
