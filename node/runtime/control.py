"""The agent's side of the runtime: what should run, and what is to be told.

Served on a Unix socket that only this user can open. The runtime does not depend on who calls: an
agent that went away is missed by nobody, and the next one applies its spec and adopts the rest.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from node.runtime.events import Hub, TooManyWatchers
from node.runtime.supervisor import SpecRefused, Supervisor
from protos import runtime_pb2 as messages
from protos.runtime_pb2_grpc import RuntimeServicer

log = logging.getLogger(__name__)

Context = Any
"""A grpc.aio.ServicerContext of whichever messages."""


class ControlService(RuntimeServicer):
    """The Runtime service of protos/runtime.proto."""

    def __init__(
        self,
        supervisor: Supervisor,
        hub: Hub,
        adopt: Callable[[messages.RuntimeSpec], Awaitable[None]],
        admit: Callable[[messages.RuntimeSpec], Awaitable[None]],
        stop: Callable[[], None],
    ) -> None:
        """`adopt` takes a spec's routes, models and revocations, `admit` the revocations and who is
        trusted alone; `stop` ends the runtime."""
        self._supervisor = supervisor
        self._hub = hub
        self._adopt = adopt
        self._admit = admit
        self._stop = stop
        self._restarts: set[asyncio.Task[int]] = set()

    async def Apply(  # noqa: N802
        self, request: messages.RuntimeSpec, context: Context
    ) -> messages.ApplyRuntimeReply:
        """Makes what runs follow the spec; what already holds is left alone."""
        try:
            self._supervisor.apply(request)
        except SpecRefused as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        await self._adopt(request)
        return messages.ApplyRuntimeReply()

    async def Admit(  # noqa: N802
        self, request: messages.RuntimeSpec, context: Context
    ) -> messages.ApplyRuntimeReply:
        """Lets in and refuses whom the spec says; what runs is left alone."""
        await self._admit(request)
        return messages.ApplyRuntimeReply()

    async def Watch(  # noqa: N802
        self, request: messages.WatchRuntimeRequest, context: Context
    ) -> AsyncIterator[messages.RuntimeEvent]:
        """The state now, then each change, what is to be journalled, and beats if asked for."""
        try:
            async for event in self._hub.watch(request.beat_ms / 1000):
                yield event
        except TooManyWatchers as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))

    async def Restart(  # noqa: N802
        self, request: messages.RestartWorkloadRequest, context: Context
    ) -> messages.RestartWorkloadReply:
        """Restarts a workload here; goes on to its end if the caller gives up waiting."""
        restarting = asyncio.create_task(self._supervisor.restart(request.workload))
        self._restarts.add(restarting)
        restarting.add_done_callback(self._restarts.discard)
        count = await asyncio.shield(restarting)
        return messages.RestartWorkloadReply(restarted=count)

    async def Renew(  # noqa: N802
        self, request: messages.RenewRequest, context: Context
    ) -> messages.RenewReply:
        """Lets exclusive pipelines run until their new deadlines."""
        self._supervisor.renew({one.workload: one.deadline_ms for one in request.deadlines})
        return messages.RenewReply()

    async def Stop(  # noqa: N802
        self, request: messages.StopRequest, context: Context
    ) -> messages.StopReply:
        """Ends all workers and pipelines, then the runtime."""
        log.info("asked to stop: ending all workers and pipelines")
        await self._supervisor.stop()
        self._stop()
        return messages.StopReply()
