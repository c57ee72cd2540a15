"""Until when exclusive pipelines may run here, as the core said last; the runtime is told at once.

A deadline is a time of CLOCK_BOOTTIME, which all processes of a machine share and which goes on
while it sleeps. What is late, or lost, costs nothing but the pipeline's time: it ends by itself.
"""

import asyncio

import grpc
import structlog

from mesh.core.messages import Renew
from mesh.site.leases import needs_lease
from protos.documents_pb2 import PipelinePlan
from protos.runtime_pb2 import PipelineDeadline, RenewRequest, RuntimeState
from protos.runtime_pb2_grpc import RuntimeStub

CALL_S = 1.0
"""A renewal that takes longer is followed by another."""
OLD_RUNTIME = (
    "the runtime is of an older release and would not end a pipeline with onSplit: stop in time, "
    "so it is told none: `meshd runtime --stop`, and the agent starts the new one"
)

log = structlog.get_logger(__name__)


class Deadlines:
    """The newest deadline of each exclusive pipeline."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._news = asyncio.Event()

    def renew(self, renewal: Renew) -> None:
        """The core renews."""
        self._until.update(renewal.deadlines)
        self._untold.update(renewal.deadlines)
        self._news.set()

    def of(self, pipeline: PipelinePlan) -> int:
        """The deadline to tell of a pipeline; 0 for one that needs none."""
        # One whose lease nobody spoke of yet must not run: 1 ms after the boot is long over.
        return self._until.get(pipeline.name, 1) if needs_lease(pipeline) else 0

    async def tell(self, stub: RuntimeStub, listening: asyncio.Event) -> None:
        """Tells the runtime of each renewal, once it listens. Never ends."""
        await listening.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            untold, self._untold = self._untold, {}
            deadlines = [PipelineDeadline(workload=w, deadline_ms=t) for w, t in untold.items()]
            try:
                await stub.Renew(RenewRequest(deadlines=deadlines), timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                log.warning("the runtime took no renewal", reason=error.details())


def may_be_told(pipeline: PipelinePlan, state: RuntimeState | None) -> bool:
    """Whether this runtime ends the pipeline in time."""
    return not needs_lease(pipeline) or (state is not None and state.keeps_deadlines)
