"""The queue of one service: requests wait, serving workers take them.

A request holds a worker from `acquire` to `release`. Who comes first is served first, among those
that the free worker's version suits. A request whose time is over never reaches a worker. A queue
that is too long, or in which a request would wait past its deadline, refuses at once: the caller
then has time left to ask a neighbour.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from node.runtime.limits import QUEUE_BYTES_MAX, QUEUE_LENGTH_MAX
from node.runtime.load import LoadMeter


class QueueFull(Exception):
    """The request would wait too long here. Nothing was queued."""


class NoReplica(Exception):
    """No worker of this service serves here (any more)."""


class Consumer(Protocol):
    """A worker that serves, as the queue sees it."""

    @property
    def version(self) -> str: ...


C = TypeVar("C", bound=Consumer)


@dataclass(slots=True)
class Waiter(Generic[C]):
    """A request in the queue. `granted` is done once a worker is its own."""

    granted: asyncio.Future[C]
    version: str
    size: int
    since: float


@dataclass(slots=True)
class ServiceQueue(Generic[C]):
    """The requests that wait for a service and its workers here. `clock` gives seconds."""

    clock: Callable[[], float]
    members: list[C] = field(default_factory=list)
    load: LoadMeter = field(default_factory=LoadMeter)
    _idle: deque[C] = field(default_factory=deque)
    _waiting: deque[Waiter[C]] = field(default_factory=deque)

    def serves(self, version: str) -> bool:
        """Whether a worker here serves this version ("": any)."""
        return any(version in ("", member.version) for member in self.members)

    def join(self, worker: C) -> None:
        """A worker begins to serve."""
        self.members.append(worker)
        self._offer(worker)

    def leave(self, worker: C) -> None:
        """A worker is given no more requests; who waited for the last one of all is told."""
        self.members.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        for waiter in self._patient():
            if not self.serves(waiter.version):
                self._waiting.remove(waiter)
                waiter.granted.set_exception(NoReplica("the last replica here went away"))

    async def acquire(self, version: str, size: int, timeout_s: float) -> C:
        """A worker for one request of `size` bytes; give it back with `release`.

        Raises NoReplica, QueueFull, or TimeoutError after `timeout_s` seconds in the queue.
        """
        if not self.serves(version):
            raise NoReplica("no replica serves here")
        self._check_room(size, timeout_s)
        granted: asyncio.Future[C] = asyncio.get_running_loop().create_future()
        waiter = Waiter(granted, version, size, self.clock())
        self._waiting.append(waiter)
        self._serve_waiting()
        try:
            async with asyncio.timeout(timeout_s):
                worker = await granted
        except (TimeoutError, asyncio.CancelledError):
            self._give_up(waiter)
            raise
        self.load.waited(self.clock() - waiter.since)
        return worker

    def release(self, worker: C, took_s: float) -> None:
        """A worker is done with a request that took it `took_s` seconds."""
        self.load.served(took_s)
        self._return(worker)

    def _check_room(self, size: int, timeout_s: float) -> None:
        if self._idle:
            return
        if len(self._waiting) >= QUEUE_LENGTH_MAX:
            raise QueueFull(f"{QUEUE_LENGTH_MAX} requests wait already")
        if sum(waiter.size for waiter in self._waiting) + size > QUEUE_BYTES_MAX:
            raise QueueFull(f"{QUEUE_BYTES_MAX >> 20} MiB of requests wait already")
        ahead_s = self.load.service_s * len(self._waiting) / len(self.members)
        if ahead_s > timeout_s:
            raise QueueFull(f"it would wait {ahead_s:.1f} s, {timeout_s:.1f} s are left")

    def _offer(self, worker: C) -> None:
        self._idle.append(worker)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        for waiter in self._patient():
            worker = next((w for w in self._idle if waiter.version in ("", w.version)), None)
            if worker is not None:
                self._waiting.remove(waiter)
                self._idle.remove(worker)
                waiter.granted.set_result(worker)

    def _patient(self) -> list[Waiter[C]]:
        """Those that still wait: one whose caller has gone may have yet to notice."""
        return [waiter for waiter in self._waiting if not waiter.granted.done()]

    def _give_up(self, waiter: Waiter[C]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            return
        granted = waiter.granted
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            # The grant and the end of patience met: the worker goes to the next.
            self._return(granted.result())

    def _return(self, worker: C) -> None:
        if worker in self.members:
            self._offer(worker)
