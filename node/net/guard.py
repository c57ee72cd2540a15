"""The guard in front of every method: budget, identity, role, deadline; only then the request.

It stands before the message is even parsed, in the order of the design's rule for any input: the
peer's budget first, because checking the rest is what a flood would make expensive. Streams are
checked before each answer, and whenever trust or revocations change (`end_unwelcome`), so that a
revoked caller's end, silent ones too.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from mesh.heads.identity import IdentityRefused
from node.net.budget import Budgets
from node.net.identity import Context, CurrentCall, begin_call, caller, leaf_pem, require
from node.net.open_calls import NotWelcome, OpenCall, OpenCalls, generates, open_for_writing
from node.net.policy import LINK, Policy
from node.net.settings import (
    CALLS_BURST,
    CALLS_PER_PEER_MAX,
    CALLS_PER_S,
    PEERS_REMEMBERED,
    STRANGER_CALLS_BURST,
    STRANGER_CALLS_PER_S,
)

Handler = Any
"""A grpc.RpcMethodHandler: its stubs are those of the synchronous server."""


class CallRefused(Exception):
    """A call is not served; `code` and the text go to the caller. Nothing was changed by it."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Enforces a Policy. `refused` counts refusals by status code."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._in_flight: Counter[bytes] = Counter()
        self._open = OpenCalls()
        self.refused: Counter[grpc.StatusCode] = Counter()
        per_s, burst = CALLS_PER_S, CALLS_BURST
        if policy.check is None:
            per_s, burst = STRANGER_CALLS_PER_S, STRANGER_CALLS_BURST
        self._budgets = Budgets(per_s, burst, PEERS_REMEMBERED)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Puts the checks before the method's own handler."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return _Guarded(self, handler_call_details.method, handler).as_handler()

    def end_unwelcome(self) -> int:
        """Ends the streams of callers who are not welcome any more; how many."""
        return self._open.recheck()

    @contextmanager
    def admitted_stream(self, method: str, context: Context) -> Iterator[OpenCall]:
        """Like `admitted`, for a stream: it ends when its caller is not welcome any more. Raises
        CallRefused."""
        with (
            self.admitted(method, context) as call,
            self._open.opened(_refusal_of(call, method)) as stream,
        ):
            try:
                yield stream
            except NotWelcome as why:
                raise CallRefused(grpc.StatusCode.PERMISSION_DENIED, str(why)) from None

    @contextmanager
    def admitted(self, method: str, context: Context) -> Iterator[CurrentCall | None]:
        """Counts the call while it runs. Raises CallRefused."""
        taker = self._taker(context)
        if not self._budgets.take(taker, time.monotonic()):
            raise CallRefused(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls from this peer: call less often"
            )
        if self._in_flight[taker] >= CALLS_PER_PEER_MAX:
            raise CallRefused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"this peer has {CALLS_PER_PEER_MAX} calls in flight: wait for one to end",
            )
        self._in_flight[taker] += 1
        try:
            yield self._welcome(method, context)
        finally:
            self._in_flight[taker] -= 1
            if not self._in_flight[taker]:
                del self._in_flight[taker]

    def _taker(self, context: Context) -> bytes:
        """Whose budget it is: the certificate's, or on the enrolment port the address's."""
        if self._policy.check is None:
            return context.peer().rpartition(":")[0].encode()
        try:
            return leaf_pem(context.auth_context())
        except IdentityRefused as refused:
            raise CallRefused(grpc.StatusCode.UNAUTHENTICATED, str(refused)) from None

    def _welcome(self, method: str, context: Context) -> CurrentCall | None:
        call = None
        if method not in self._policy.methods:
            raise CallRefused(grpc.StatusCode.PERMISSION_DENIED, f"{method} is not for callers")
        if self._policy.check is not None:
            try:
                certified = caller(context, self._policy.check)
                require(certified, self._policy.methods[method], method)
            except IdentityRefused as refused:
                raise CallRefused(grpc.StatusCode.PERMISSION_DENIED, str(refused)) from None
            call = begin_call(certified, self._policy.check)
        if method not in self._policy.without_deadline and context.time_remaining() is None:
            raise CallRefused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{method} was called without a deadline: set one (timeout=)",
            )
        return call


class _Guarded:
    """One method of one call, with the guard around it."""

    def __init__(self, guard: Guard, method: str, handler: Handler) -> None:
        self._guard = guard
        self._method = method
        self._handler = handler

    def as_handler(self) -> Handler:
        handler, write = self._handler, self._handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            behaviour = self._streams if generates(handler.stream_stream) else self._writes
            return grpc.stream_stream_rpc_method_handler(
                behaviour, handler.request_deserializer, write
            )
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                self._collects, handler.request_deserializer, write
            )
        if handler.response_streaming:
            behaviour = self._streams if generates(handler.unary_stream) else self._writes
            return grpc.unary_stream_rpc_method_handler(behaviour, None, write)
        return grpc.unary_unary_rpc_method_handler(self._answers, None, write)

    async def _answers(self, data: bytes, context: Context) -> Any:
        try:
            with self._guard.admitted(self._method, context):
                return await self._handler.unary_unary(self._parsed(data), context)
        except CallRefused as refused:
            await self._refuse(context, refused)

    async def _collects(self, requests: Any, context: Context) -> Any:
        try:
            with self._guard.admitted_stream(self._method, context) as stream:
                return await stream.run(self._handler.stream_unary(requests, context))
        except CallRefused as refused:
            await self._refuse(context, refused)

    async def _writes(self, requests: Any, context: Context) -> None:
        try:
            with self._guard.admitted_stream(self._method, context) as stream:
                await open_for_writing(context)
                await stream.run(self._behaviour()(self._request(requests), context))
        except CallRefused as refused:
            await self._refuse(context, refused)

    async def _streams(self, requests: Any, context: Context) -> AsyncIterator[Any]:
        try:
            with self._guard.admitted_stream(self._method, context) as stream:
                answers = self._behaviour()(self._request(requests), context)
                async for answer in stream.each(answers):
                    yield answer
        except CallRefused as refused:
            await self._refuse(context, refused)

    def _behaviour(self) -> Any:
        return self._handler.stream_stream or self._handler.unary_stream

    def _request(self, requests: Any) -> Any:
        return requests if self._handler.request_streaming else self._parsed(requests)

    def _parsed(self, data: bytes) -> Any:
        parse = self._handler.request_deserializer
        try:
            return parse(data) if parse else data
        except DecodeError:
            raise CallRefused(
                grpc.StatusCode.INVALID_ARGUMENT, f"the request of {self._method} cannot be parsed"
            ) from None

    async def _refuse(self, context: Context, refused: CallRefused) -> None:
        self._guard.refused[refused.code] += 1
        await context.abort(refused.code, str(refused))


def _refusal_of(call: CurrentCall | None, method: str) -> Callable[[], str | None]:
    """What says that a stream's caller is not welcome any more. On the enrolment port callers have
    no identity; links are ended by the LinkTable, which tells their readers why."""
    return _no_refusal if call is None or method == LINK else call.refusal


def _no_refusal() -> None:
    """Nobody says so."""
