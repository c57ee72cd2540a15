"""A queue of frames between two tasks, bounded in bytes."""

import asyncio
from collections import deque

FRAME_OVERHEAD_BYTES = 64
"""That a frame costs beside its payload: an empty one is not free."""


class ByteQueue:
    """First in, first out. One task puts, one gets; both on the same loop."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def full(self) -> bool:
        """Whether it holds its limit in bytes or more."""
        return self._size >= self._bytes_max

    def offer(self, frame: bytes) -> bool:
        """Puts `frame` if it fits; else says False. An ended queue takes and forgets."""
        cost = len(frame) + FRAME_OVERHEAD_BYTES
        if self._ended:
            return True
        if self._size + cost > self._bytes_max:
            return False
        self._add(frame)
        return True

    async def put(self, frame: bytes) -> None:
        """Puts `frame`, when there is room: it may go over the limit by one frame."""
        while self.full and not self._ended:
            await self._change()
        if not self._ended:
            self._add(frame)

    async def get(self) -> bytes | None:
        """The next frame; None when the queue has ended and is empty."""
        while not self._frames:
            if self._ended:
                return None
            await self._change()
        frame = self._frames.popleft()
        self._size -= len(frame) + FRAME_OVERHEAD_BYTES
        self._changed.set()
        return frame

    def end(self, *, drop: bool) -> None:
        """Takes no more; what is in it is dropped, or can still be got."""
        self._ended = True
        if drop:
            self._frames.clear()
            self._size = 0
        self._changed.set()

    def _add(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._size += len(frame) + FRAME_OVERHEAD_BYTES
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
