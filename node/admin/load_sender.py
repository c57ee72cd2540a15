"""Sends one node its requests, each when it is due, in an open loop.

Cheap on purpose, because it shares the machine with what it measures: the request is encoded
once, and channels carry bytes. What is sent does not depend on what has been answered, so a slow
node gets the same load as a fast one.
"""

import asyncio
from collections.abc import Callable

import grpc.aio

from node.admin.load_tally import Tally

RATE_PER_S = 20.0
DEADLINE_MS = 2000.0

METHOD = "/inference.GRPCInferenceService/ModelInfer"

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The inference port's own limit. Worst case in memory: this for each request in flight."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ("grpc.max_send_message_length", ANSWER_BYTES_MAX),
    # gRPC waits up to two minutes before it dials again; a node that is back must be seen at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)

Fault = Callable[[bytes], str | None]


class Sender:
    """The load on one node. `fault` says what is wrong with an answer, None if nothing is."""

    def __init__(
        self, address: str, body: bytes, fault: Fault, tally: Tally,
        now_ms: Callable[[], float], period_ms: float, deadline_ms: float,
    ) -> None:  # fmt: skip
        self.tally = tally
        self.late_ms_max = 0.0
        """The most that this client itself was late in sending."""
        self._address, self._body, self._fault = address, body, fault
        self._now_ms, self._period_ms, self._deadline_ms = now_ms, period_ms, deadline_ms
        self._channel: grpc.aio.Channel | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._pacer: asyncio.Task[None] | None = None

    def start(self, phase: float) -> None:
        """Begin, `phase` (0..1) of a period from now, so that nodes take turns."""
        self._channel = grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        first_ms = self._now_ms() + phase * self._period_ms
        self._pacer = asyncio.create_task(self._pace(self._channel, first_ms))

    async def down(self, at_ms: float) -> None:
        """The node was killed at `at_ms`: send no more. What is in flight runs out by itself."""
        self.tally.down(at_ms)
        await self._stop_pacing()

    async def raised(self, address: str | None) -> None:
        """The node serves again, at its old address or a new one. Does nothing if it is up."""
        if self.tally.up:
            return
        self._address = address or self._address
        await self._close()
        self.tally.raised(self._now_ms())
        self.start(0.0)

    async def stop(self) -> None:
        """Send no more, and wait for what is in flight: at most its deadline."""
        await self._stop_pacing()
        await asyncio.gather(*self._requests)
        await self._close()

    async def _stop_pacing(self) -> None:
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.gather(self._pacer, return_exceptions=True)
            self._pacer = None

    async def _close(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _pace(self, channel: grpc.aio.Channel, due_ms: float) -> None:
        """Send each request when it is due; overdue ones at once, so that none is left out."""
        call = channel.unary_unary(METHOD, None, None)
        while True:
            wait_ms = due_ms - self._now_ms()
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1000)
            self.late_ms_max = max(self.late_ms_max, self._now_ms() - due_ms)
            task = asyncio.create_task(self._send(call, due_ms))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
            due_ms += self._period_ms

    async def _send(
        self, call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", due_ms: float
    ) -> None:
        sent_ms = self._now_ms()
        try:
            answer = await call(self._body, timeout=self._deadline_ms / 1000)
        except grpc.aio.AioRpcError as error:
            self.tally.failed(sent_ms, self._now_ms(), error.code().name, error.details() or "")
            return
        except asyncio.CancelledError:  # the channel was closed under it
            self.tally.failed(sent_ms, self._now_ms(), "CANCELLED", "the client closed its channel")
            return
        now_ms = self._now_ms()
        fault = self._fault(answer)
        self.tally.answered(due_ms, now_ms, right=fault is None, detail=fault or "")
