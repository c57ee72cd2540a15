"""A TCP relay that can be cut: the demo's WAN.

It listens at the site's side only, so that, as behind NAT, nothing that the master's side begins
can come in. It copies bytes, looks into none of them, and counts them each way. While it is cut it
behaves like a link without a far end: what was open is reset, what dials is accepted, read, and
never answered.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

CHUNK_BYTES = 64 * 1024
"""Copied at a time. Worst case held in memory: this, each way, for every connection."""

CONNECTIONS_MAX = 256
"""Open connections of one relay; a site needs about ten. Worst case 32 MiB and 512 sockets."""

CONNECT_TIMEOUT_S = 5.0
"""How long the far end may take to accept; on one machine it takes less than a millisecond."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST, so that both ends notice at once."""

ORDERLY_CLOSE = struct.pack("ii", 0, 0)


@dataclass(frozen=True, slots=True)
class Forward:
    """One forwarded port: where the site dials (port 0: any), and where the master listens."""

    listen: tuple[str, int]
    target: tuple[str, int]


@dataclass(slots=True)
class Counters:
    """What one forwarded port has carried since the start, in payload bytes of TCP."""

    to_target_bytes: int = 0
    from_target_bytes: int = 0
    swallowed_bytes: int = 0
    accepted: int = 0
    swallowed: int = 0
    """Connections that were accepted while the relay was cut."""
    unreachable: int = 0
    """Connections reset because the target did not accept."""
    refused: int = 0
    """Connections reset because CONNECTIONS_MAX were open."""


@dataclass(slots=True)
class _Port:
    forward: Forward
    listener: socket.socket
    counters: Counters = field(default_factory=Counters)


class Relay:
    """Forwards each port to its target until it is cut, and again after it is restored."""

    def __init__(self, forwards: Sequence[Forward]) -> None:
        self._forwards = tuple(forwards)
        self._ports: list[_Port] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._acceptors: list[asyncio.Task[None]] = []
        self.is_cut = False

    async def start(self) -> list[tuple[str, int]]:
        """Listen; gives the bound addresses in the forwards' order. OSError: port in use."""
        for forward in self._forwards:
            listener = socket.create_server(forward.listen, backlog=128)
            listener.setblocking(False)
            self._ports.append(_Port(forward, listener))
        self._acceptors = [asyncio.create_task(self._accept(port)) for port in self._ports]
        return self.addresses()

    def addresses(self) -> list[tuple[str, int]]:
        """The addresses that the site dials, in the forwards' order."""
        return [port.listener.getsockname()[:2] for port in self._ports]

    def counters(self) -> list[Counters]:
        """What each port has carried, in the forwards' order."""
        return [port.counters for port in self._ports]

    async def cut(self) -> None:
        """Reset every connection; accept and swallow what comes from now on."""
        self.is_cut = True
        await _cancelled(self._tasks)

    async def restore(self) -> None:
        """Forward again. What was swallowed is lost: those connections are reset, to dial anew."""
        self.is_cut = False
        await _cancelled(self._tasks)

    async def stop(self) -> None:
        """Stop listening and reset every connection."""
        await _cancelled(self._acceptors)
        for port in self._ports:
            port.listener.close()
        await _cancelled(self._tasks)

    async def _accept(self, port: _Port) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                near, _ = await loop.sock_accept(port.listener)
            except OSError:  # the dialler has gone, or too many sockets are open: neither is ours
                await asyncio.sleep(0.01)
                continue
            self._begin(port, near)

    def _begin(self, port: _Port, near: socket.socket) -> None:
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if len(self._tasks) >= CONNECTIONS_MAX:
            port.counters.refused += 1
            near.close()
            return
        carry = self._swallow if self.is_cut else self._forward
        task = asyncio.create_task(carry(port, near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step runs none of its clean-up.
        task.add_done_callback(lambda _: near.close())

    async def _swallow(self, port: _Port, near: socket.socket) -> None:
        port.counters.swallowed += 1
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(near, CHUNK_BYTES):
                port.counters.swallowed_bytes += len(data)

    async def _forward(self, port: _Port, near: socket.socket) -> None:
        port.counters.accepted += 1
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as far:
            far.setblocking(False)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            if not await _connected(far, port.forward.target):
                port.counters.unreachable += 1
                return
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._carry(port.counters, near, far)

    async def _carry(self, counters: Counters, near: socket.socket, far: socket.socket) -> None:
        """Copy both ways until both ends have finished, or either has broken."""

        def out(count: int) -> None:
            counters.to_target_bytes += count

        def back(count: int) -> None:
            counters.from_target_bytes += count

        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(near, far, out))
                both.create_task(_copy(far, near, back))
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ORDERLY_CLOSE)
        except* OSError:
            pass  # one end broke: both are reset when they close


async def _copy(source: socket.socket, sink: socket.socket, count: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, CHUNK_BYTES):
        await loop.sock_sendall(sink, data)
        count(len(data))
    sink.shutdown(socket.SHUT_WR)


async def _connected(far: socket.socket, target: tuple[str, int]) -> bool:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(far, target)
    except OSError:  # TimeoutError is one
        return False
    return True


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until each has ended."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
