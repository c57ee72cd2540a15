"""Links: one control stream with a peer each, dialled or accepted, the same from then on.

- Frames are bytes here; the core decodes them, and what it relays is sent on unchanged.
- Sending never waits: frames queue up to a limit in bytes, beyond which the link ends.
- Receiving makes the peer wait when this end does not keep up, or the peer sends too much.
- Inside a site both ends send an empty frame when they have nothing to say, so that a frozen
  process is noticed from either end; on the WAN the exchange itself is the keepalive.
- A link ends once, with a reason, and wakes whoever reads it.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc

from mesh.heads.certificates import Certified
from node.net.budget import Bucket
from node.net.byte_queue import ByteQueue
from node.net.settings import (
    FIRST_FRAME_BEATS_MAX,
    FRAME_BYTES_BURST,
    FRAME_BYTES_MAX,
    FRAME_BYTES_PER_S,
    FRAMES_BURST,
    FRAMES_PER_S,
    HEARTBEAT_S,
    INCOMING_BYTES_MAX,
    OUTGOING_BYTES_MAX,
    SILENT_BEATS_MAX,
)
from node.net.streams import Stream, StreamEnded

HEARTBEAT = b""
"""An empty frame says nothing but "alive"; it stops here and reaches no core."""


class Link:
    """A control stream with `peer`. Iterate over it for the frames received, until it ends.

    `sent_bytes` and `received_bytes` count payload. `reason` is None while the link is open.
    """

    def __init__(self, peer: Certified, stream: Stream, *, dialled: bool, wan: bool) -> None:
        self.peer = peer
        self.dialled = dialled
        self.wan = wan
        self.sent_bytes = 0
        self.received_bytes = 0
        self.reason: str | None = None
        self.code: grpc.StatusCode | None = None
        self._stream = stream
        self._outgoing = ByteQueue(OUTGOING_BYTES_MAX)
        self._incoming = ByteQueue(INCOMING_BYTES_MAX)
        self._spoke = False  # this end, since the last beat
        self._heard = False  # the other end, since the last beat
        self._first = asyncio.Event()
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return self.reason is None

    def send(self, frame: bytes) -> bool:
        """Queues a frame. False if the link has ended, or ends now because the peer is too slow.

        Raises ValueError for an empty frame or one over FRAME_BYTES_MAX: a fault of this end.
        """
        if not 0 < len(frame) <= FRAME_BYTES_MAX:
            raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, this one {len(frame)}")
        if not self.is_open:
            return False
        if self._outgoing.offer(frame):
            return True
        waiting = f"{OUTGOING_BYTES_MAX} bytes wait to be sent"
        self.close(f"the peer does not take what it is sent: {waiting}")
        return False

    def close(self, reason: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """Ends the link, if it has not ended. What waits, to be sent or to be read, is dropped."""
        self._end(reason, code, drop=True)

    async def run(self) -> None:
        """Carries frames until the link has ended. Cancelling it ends the link."""
        works = (self._read(), self._write(), self._watch())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            await self._ending.wait()
        finally:
            self.close("the stream was cut off")
            await self._let_go(tasks)

    async def _let_go(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        try:
            await self._stream.stop(self.code or grpc.StatusCode.UNAVAILABLE, self.reason or "")
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:  # gRPC may cancel the call's handler here, when the other end has gone too
            self._ended.set()

    async def first_frame(self) -> bool:
        """Waits until a frame has arrived (True) or the link has ended before (False)."""
        await self._first.wait()
        return self.is_open

    async def ended(self) -> str:
        """Waits until the link has ended and let go of its connection; the reason."""
        await self._ended.wait()
        return self.reason or ""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The frames as they come, until the link has ended."""
        while (frame := await self._incoming.get()) is not None:
            yield frame

    def _end(self, reason: str, code: grpc.StatusCode, *, drop: bool) -> None:
        if self.reason is not None:
            return
        self.reason, self.code = reason, code
        self._outgoing.end(drop=True)
        self._incoming.end(drop=drop)
        self._first.set()
        self._ending.set()

    async def _read(self) -> None:
        frames = Bucket(FRAMES_PER_S, FRAMES_BURST)
        volume = Bucket(FRAME_BYTES_PER_S, FRAME_BYTES_BURST)
        try:
            while True:
                frame = await self._stream.read()
                self._heard = True
                if len(frame) > FRAME_BYTES_MAX:
                    self.close(f"the peer sent a frame of {len(frame)} bytes")
                    return
                if frame:
                    await self._take(frame)
                now = time.monotonic()
                debt = max(frames.wait_after(1.0, now), volume.wait_after(len(frame), now))
                if debt:
                    await asyncio.sleep(debt)
        except StreamEnded as end:
            self._end(end.detail, end.code, drop=False)

    async def _take(self, frame: bytes) -> None:
        self.received_bytes += len(frame)
        self._first.set()
        await self._incoming.put(frame)

    async def _write(self) -> None:
        try:
            while (frame := await self._outgoing.get()) is not None:
                self.sent_bytes += len(frame)  # before the other end can have it
                await self._stream.write(frame)
                self._spoke = True
        except StreamEnded as end:
            self._end(end.detail, end.code, drop=False)

    async def _watch(self) -> None:
        beats = silent = 0
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            beats += 1
            if not self._first.is_set() and beats >= FIRST_FRAME_BEATS_MAX:
                self.close("the peer opened a link and said nothing")
            if self.wan:
                continue
            silent = 0 if self._heard or self._incoming.full else silent + 1
            if silent >= SILENT_BEATS_MAX:
                self.close(f"the peer is frozen: silent for {silent * HEARTBEAT_S:g} s")
            if not self._spoke and not len(self._outgoing):
                self._outgoing.offer(HEARTBEAT)
            self._spoke = self._heard = False
