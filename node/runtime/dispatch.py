"""Who answers a request: a worker here, else a neighbour, else a worker that is about to serve.

A request whose worker died under it is tried again (inference has no state), here or elsewhere,
as long as its deadline allows; after WORKER_DEATHS_MAX workers it is given up, since it may be what
kills them. A request that came from a neighbour is never forwarded: one hop at most.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import grpc.aio

from node.runtime.catalogue import Catalogue, Target
from node.runtime.codec import decode_inputs, encode_outputs
from node.runtime.deadline import Deadline
from node.runtime.errors import RequestFailed, exhausted, invalid, late, unavailable
from node.runtime.limits import WORKER_DEATHS_MAX
from node.runtime.neighbours import HOP, Neighbours
from node.runtime.replica import Queue
from node.runtime.service_queue import NoReplica, QueueFull, ServiceQueue
from node.runtime.tensors import Tensor
from node.runtime.waking import Waking
from node.runtime.worker_link import WorkerGone
from node.runtime.worker_process import WorkerProcess
from protos.inference_pb2 import ModelInferRequest, ModelInferResponse
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from protos.runtime_pb2 import WorkerReply

Worked = tuple[WorkerReply, list[Tensor]]

POLL_S = 0.05
"""Seconds between looks at whether a replica that is starting serves."""


@dataclass(slots=True)
class Attempts:
    """What happened to one request so far."""

    deadline: Deadline
    deaths: int = 0
    died: bool = False
    """Whether the last attempt here ended with its worker."""


class _Refused(Exception):
    """Nobody here answers; `failure` is what to say if nobody else does either."""

    def __init__(self, failure: RequestFailed) -> None:
        super().__init__(failure.text)
        self.failure = failure


class Dispatcher:
    """Brings requests to who can answer them."""

    def __init__(
        self,
        catalogue: Catalogue,
        neighbours: Neighbours,
        coming: Callable[[str], bool],
        wanted: Callable[[], None],
    ) -> None:
        """`coming` says whether a replica of a workload here will soon serve; `wanted` is called
        when requests for a service that sleeps wait, or none do any more."""
        self.catalogue = catalogue
        self.neighbours = neighbours
        self._coming = coming
        self.waking = Waking(self.available, wanted)
        self.queues: defaultdict[str, Queue] = defaultdict(lambda: ServiceQueue(time.monotonic))
        self._running: set[asyncio.Task[Worked]] = set()

    def available(self, target: Target) -> bool:
        """Whether a request would find somebody to answer it now."""
        here = target.workload in self.queues and self.queues[target.workload].serves(
            target.version
        )
        return here or self.neighbours.reachable(target.workload)

    def ready(self, target: Target) -> bool:
        """Whether a request would be answered: at once, or by a service that wakes for it."""
        return self.available(target) or self.catalogue.may_sleep(target.workload)

    async def infer(
        self, request: ModelInferRequest, deadline: Deadline, *, hop: bool
    ) -> ModelInferResponse:
        """The answer. Raises RequestFailed."""
        target = self.catalogue.find(request.model_name, request.model_version)
        attempts = Attempts(deadline)
        while True:
            try:
                return await self._here(target, request, attempts)
            except _Refused as error:
                refusal = error.failure
            if self.queues[target.workload].serves(target.version) and attempts.died:
                continue
            if not hop and self.neighbours.routes(target.workload):
                try:
                    return await self._elsewhere(target, request, deadline)
                except RequestFailed as failure:
                    refusal = _worse(refusal, failure)
            await self.wait(target, refusal, deadline, hop=hop, size=request.ByteSize())

    async def _here(
        self, target: Target, request: ModelInferRequest, attempts: Attempts
    ) -> ModelInferResponse:
        """The answer of a worker here. Raises _Refused if somebody else should be asked."""
        queue = self.queues[target.workload]
        attempts.died = False
        try:
            worker, inputs = await self._acquire(queue, target, request, attempts.deadline)
            work = self._start(queue, worker, inputs, [o.name for o in request.outputs])
            # The worker cannot be interrupted: if the caller gives up, it is still at work.
            reply, outputs = await asyncio.shield(work)
        except NoReplica:
            text = f"no replica of {target.workload!r} serves here"
            raise _Refused(unavailable(text)) from None
        except QueueFull as error:
            text = f"the queue of {target.workload!r} is full: {error}"
            raise _Refused(exhausted(text)) from None
        except WorkerGone as error:
            attempts.died = True
            attempts.deaths += 1
            raise _after_death(attempts, error) from None
        return _response(request, worker, reply, outputs)

    async def _acquire(
        self, queue: Queue, target: Target, request: ModelInferRequest, deadline: Deadline
    ) -> tuple[WorkerProcess, list[Tensor]]:
        if not queue.serves(target.version):
            raise NoReplica
        inputs = decode_inputs(request)
        size = sum(len(tensor.data) for tensor in inputs)
        try:
            return await queue.acquire(target.version, size, deadline.left()), inputs
        except TimeoutError:
            raise late("the deadline passed while the request waited for a worker") from None

    def _start(
        self, queue: Queue, worker: WorkerProcess, inputs: list[Tensor], wanted: list[str]
    ) -> asyncio.Task[Worked]:
        work = asyncio.create_task(self._work(queue, worker, inputs, wanted))
        self._running.add(work)
        work.add_done_callback(self._forget)
        return work

    async def _work(
        self, queue: Queue, worker: WorkerProcess, inputs: list[Tensor], wanted: list[str]
    ) -> Worked:
        begun = time.monotonic()
        try:
            return await worker.infer(inputs, wanted)
        finally:
            queue.release(worker, time.monotonic() - begun)

    def _forget(self, work: asyncio.Task[Worked]) -> None:
        self._running.discard(work)
        if not work.cancelled():
            # Whether anyone still waits for it or not, its error has been seen.
            work.exception()

    async def _elsewhere(
        self, target: Target, request: ModelInferRequest, deadline: Deadline
    ) -> ModelInferResponse:
        forwarded = ModelInferRequest()
        forwarded.CopyFrom(request)
        forwarded.model_name = target.workload

        async def call(stub: GRPCInferenceServiceStub, limit_s: float) -> ModelInferResponse:
            answer: ModelInferResponse = await stub.ModelInfer(
                forwarded, timeout=limit_s, metadata=HOP
            )
            return answer

        response = await self.neighbours.ask(target.workload, call, deadline)
        response.model_name = request.model_name
        return response

    async def wait(
        self,
        target: Target,
        refusal: RequestFailed,
        deadline: Deadline,
        *,
        hop: bool,
        size: int = 0,
    ) -> None:
        """Until a replica that is starting here serves, or somebody wakes a service that sleeps.
        Raises `refusal` if there is nothing to wait for."""
        queue = self.queues[target.workload]
        waits = not hop and refusal.code == grpc.StatusCode.UNAVAILABLE
        if waits and self.catalogue.may_sleep(target.workload):
            await self.waking.until_awake(target, size, deadline)
            return
        while waits and not queue.serves(target.version) and self._coming(target.workload):
            if deadline.left() == 0.0:
                raise late(f"the deadline passed: {refusal.text}")
            await asyncio.sleep(POLL_S)
        if not (waits and queue.serves(target.version)):
            raise refusal


def _worse(here: RequestFailed, elsewhere: RequestFailed) -> RequestFailed:
    """What to tell the caller when neither this node nor a neighbour answered.

    Raises `elsewhere` if no other try would mend it.
    """
    if elsewhere.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        raise elsewhere
    return here if here.code == grpc.StatusCode.RESOURCE_EXHAUSTED else elsewhere


def _after_death(attempts: Attempts, error: WorkerGone) -> Exception:
    if attempts.deaths < WORKER_DEATHS_MAX:
        return _Refused(unavailable(f"the worker {error}"))
    text = f"{attempts.deaths} workers died over this request; the last one {error}"
    return RequestFailed(grpc.StatusCode.INTERNAL, text)


def _response(
    request: ModelInferRequest, worker: WorkerProcess, reply: WorkerReply, outputs: list[Tensor]
) -> ModelInferResponse:
    if reply.error_kind == "invalid":
        raise invalid(reply.error)
    if reply.error:
        raise RequestFailed(grpc.StatusCode.INTERNAL, reply.error)
    response = ModelInferResponse(
        model_name=request.model_name, model_version=worker.version, id=request.id
    )
    encode_outputs(outputs, response)
    return response
