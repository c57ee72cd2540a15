"""The two ends of a control stream, as one thing: read a frame, write a frame, stop.

gRPC reports the end of a stream in several ways, different at the two ends. Here it is one:
StreamEnded, with a status code and a text.
"""

import asyncio
from typing import Any, Protocol

import grpc

from node.net.identity import Context
from node.net.policy import LINK

_END: Any = vars(grpc.aio)["EOF"]
"""What reading gives at the end of a stream (the type stubs do not know it)."""

_GRPC_FAULTS = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What grpc.aio raises for a stream that is over, broken, or used after its end."""


class StreamEnded(Exception):
    """The stream is over. `code` is the status that gRPC or the other end gave."""

    def __init__(self, code: grpc.StatusCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Stream(Protocol):
    """One end of a control stream."""

    async def read(self) -> bytes:
        """The next frame. Raises StreamEnded."""

    async def write(self, frame: bytes) -> None:
        """Hands a frame to the connection, when it has room. Raises StreamEnded."""

    async def stop(self, code: grpc.StatusCode, detail: str) -> None:
        """Ends the stream from this end, and lets go of what it holds."""


class DialledStream:
    """The dialling end: it owns its channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        method: Any = channel.stream_stream(
            LINK, request_serializer=None, response_deserializer=None
        )
        self._call: Any = method()  # no deadline: heartbeats and the exchange say when it is dead

    async def read(self) -> bytes:
        """The next frame. Raises StreamEnded."""
        try:
            frame = await self._call.read()
            if frame is not _END:
                return bytes(frame)
            code, detail = await self._call.code(), await self._call.details()
        except _GRPC_FAULTS as fault:
            raise _ended(fault) from None
        raise StreamEnded(code, detail or "the peer closed the link")

    async def write(self, frame: bytes) -> None:
        """Hands a frame to the connection. Raises StreamEnded."""
        try:
            await self._call.write(frame)
        except _GRPC_FAULTS as fault:
            raise _ended(fault) from None

    async def stop(self, code: grpc.StatusCode, detail: str) -> None:
        """Cancels the call and closes the channel."""
        self._call.cancel()
        await self._channel.close(None)


class AcceptedStream:
    """The accepting end: it lives in a call that the server serves, and ends with it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(self) -> bytes:
        """The next frame. Raises StreamEnded."""
        try:
            frame: Any = await self._context.read()
        except _GRPC_FAULTS as fault:
            raise _ended(fault) from None
        if frame is _END:
            raise StreamEnded(grpc.StatusCode.OK, "the peer closed the link")
        return bytes(frame)

    async def write(self, frame: bytes) -> None:
        """Hands a frame to the connection. Raises StreamEnded."""
        try:
            await self._context.write(frame)
        except _GRPC_FAULTS as fault:
            raise _ended(fault) from None

    async def stop(self, code: grpc.StatusCode, detail: str) -> None:
        """Says why; the stream ends when the call's handler returns."""
        self._context.set_code(code)
        self._context.set_details(detail)


def _ended(fault: BaseException) -> StreamEnded:
    if isinstance(fault, grpc.aio.AioRpcError):
        return StreamEnded(fault.code(), fault.details() or "the connection broke")
    return StreamEnded(grpc.StatusCode.UNAVAILABLE, "the connection broke")
