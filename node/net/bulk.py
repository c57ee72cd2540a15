"""Bulk: chunks of artifacts, on channels apart, so that they never stand in the way of control.

The server reads a chunk only when the connection has room for it, serves a few streams at a time,
and none for ever. The client takes what it asked for, in that order, and nothing larger than a
chunk; whether the bytes are the right ones is checked by whoever stores them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from mesh.heads.certificates import Certified
from node.net.budget import Bucket
from node.net.identity import Context, current_call
from node.net.link_table import PEER_SERVICE
from node.net.policy import CHUNKS
from node.net.server import Service
from node.net.settings import (
    BULK_STREAM_S_MAX,
    BULK_STREAMS_MAX,
    BULK_STREAMS_PER_PEER_MAX,
    CHUNK_BYTES_MAX,
    CHUNKS_MAX,
)
from protos.peer_pb2 import ChunkData, ChunkRequest

DIGEST_BYTES = 32
"""Of an artifact's name: a SHA-256."""

ReadChunk = Callable[[bytes, int], Awaitable[bytes | None]]
"""(artifact, chunk) -> its bytes, or None if it is not held here."""

_ITS_FAULT = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED})
"""Codes of a peer that answers, and wrongly."""

Meter = Callable[[Certified, int], None]
"""(who asked, bytes of payload): what was served."""


class BulkFailed(Exception):
    """Chunks did not come. `at_fault`: the peer broke the contract (else: it was not reached)."""

    def __init__(self, text: str, *, at_fault: bool) -> None:
        super().__init__(text)
        self.at_fault = at_fault


class ChunkServicer:
    """Serves Peer.Chunks from `read_chunk`, and tells `meter` what was served."""

    def __init__(self, read_chunk: ReadChunk, meter: Meter) -> None:
        self._read_chunk = read_chunk
        self._meter = meter
        self._streams: Counter[bytes] = Counter()

    @property
    def service(self) -> Service:
        """To be given to a Server."""
        return PEER_SERVICE, self._add_to

    def _add_to(self, server: grpc.aio.Server) -> None:
        method = grpc.unary_stream_rpc_method_handler(
            self._chunks,
            request_deserializer=ChunkRequest.FromString,
            response_serializer=ChunkData.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(PEER_SERVICE, {"Chunks": method})
        server.add_generic_rpc_handlers((handler,))

    async def _chunks(self, request: ChunkRequest, context: Context) -> None:
        refused = _refusal(request)
        if refused:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, refused)
        tls_key = current_call().caller.tls_key
        if not self._has_room(tls_key):
            text = "too many bulk streams here: ask another holder, or again later"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        with self._counted(tls_key):
            try:
                async with asyncio.timeout(BULK_STREAM_S_MAX):
                    await self._serve(request, context)
            except TimeoutError:
                text = f"a bulk stream lasts at most {BULK_STREAM_S_MAX:g} s: ask for fewer chunks"
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, text)

    async def _serve(self, request: ChunkRequest, context: Context) -> None:
        call = current_call()
        for chunk in request.chunks:
            if why := call.refusal():
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
            data = await self._read_chunk(request.artifact, chunk)
            if data is None:
                await context.write(ChunkData(chunk=chunk, missing=True))
                continue
            await context.write(ChunkData(chunk=chunk, data=data))
            self._meter(call.caller, len(data))

    def _has_room(self, tls_key: bytes) -> bool:
        theirs, all_streams = self._streams[tls_key], self._streams.total()
        return theirs < BULK_STREAMS_PER_PEER_MAX and all_streams < BULK_STREAMS_MAX

    @contextmanager
    def _counted(self, tls_key: bytes) -> Iterator[None]:
        self._streams[tls_key] += 1
        try:
            yield
        finally:
            self._streams[tls_key] -= 1
            if not self._streams[tls_key]:
                del self._streams[tls_key]


class ChunkFetch:
    """One bulk request. Iterate over it once: the chunks, in the order asked for.

    `missing` is set for those not held there. `rate`, in bytes, makes the peer wait. Iterating
    raises BulkFailed; what was given before stands. Raises ValueError for no chunks, or for more
    than CHUNKS_MAX.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        artifact: bytes,
        chunks: Sequence[int],
        timeout_s: float,
        rate: Bucket | None = None,
    ) -> None:
        if not 0 < len(chunks) <= CHUNKS_MAX:
            raise ValueError(f"{len(chunks)} chunks asked for: 1 to {CHUNKS_MAX} are allowed")
        fetch = channel.unary_stream(
            CHUNKS,
            request_serializer=ChunkRequest.SerializeToString,
            response_deserializer=ChunkData.FromString,
        )
        self._chunks = chunks
        self._rate = rate
        self._call: Any = fetch(ChunkRequest(artifact=artifact, chunks=chunks), timeout=timeout_s)

    def cancel(self) -> None:
        """Ends it. Whoever iterates gets BulkFailed. (Closing the channel alone does not do it.)"""
        self._call.cancel()

    async def __aiter__(self) -> AsyncIterator[ChunkData]:
        """The chunks."""
        try:
            for chunk in self._chunks:
                answer = _checked(await self._call.read(), chunk)
                yield answer
                if self._rate is not None:
                    wait_s = self._rate.wait_after(len(answer.data), time.monotonic())
                    await asyncio.sleep(wait_s)
        except grpc.aio.AioRpcError as error:
            text = f"{error.code().name}: {error.details()}"
            raise BulkFailed(text, at_fault=error.code() in _ITS_FAULT) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BulkFailed("the fetch was ended at this end", at_fault=False) from None
        finally:
            self.cancel()


def _checked(answer: Any, chunk: int) -> ChunkData:
    if not isinstance(answer, ChunkData):
        raise BulkFailed(f"the peer ended the stream before chunk {chunk}", at_fault=True)
    if answer.chunk != chunk:
        text = f"the peer sent chunk {answer.chunk} instead of {chunk}"
        raise BulkFailed(text, at_fault=True)
    if len(answer.data) > CHUNK_BYTES_MAX or (answer.data and answer.missing):
        text = f"chunk {chunk} came with {len(answer.data)} bytes, or as missing with bytes"
        raise BulkFailed(text, at_fault=True)
    return answer


def _refusal(request: ChunkRequest) -> str | None:
    if len(request.artifact) != DIGEST_BYTES:
        return f"an artifact's digest has {DIGEST_BYTES} bytes, this one {len(request.artifact)}"
    if not 0 < len(request.chunks) <= CHUNKS_MAX:
        return f"{len(request.chunks)} chunks asked for: 1 to {CHUNKS_MAX} are served at once"
    return None
