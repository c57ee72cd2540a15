"""The edge of a core: carries its instructions out, in order, and feeds it what comes of them.

What follows a durable step in one answer of the core waits until that step is on disk; everything
else goes at once, so that a slow disk delays no probe: see node/agent/disk_work.py.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from mesh.core.messages import Run
from mesh.events import BatchesSent, Drop, Send, SendBatches, SendBlobs, Tick
from mesh.exchange.frames import DOCUMENTS_BYTES_MAX, encode
from node.agent.disk_work import DURABLE, DiskWork
from node.agent.stores import Stores
from node.agent.tasks import Background
from node.disk.errors import DiskError
from protos.documents_pb2 import JournalBatch
from protos.peer_pb2 import Documents, JournalBatches
from protos.signed_pb2 import Envelope

TICK_S = 0.2
"""As seldom as liveness allows: a tick costs every node CPU for ever, more than what it hears."""
LAST_WORD = (Run,)
"""Each of these says all, so an older one that waited for the disk must not come after a newer."""

log = structlog.get_logger(__name__)


def now_ms() -> int:
    """Milliseconds since the machine's boot, those in which it slept among them: what a lease or a
    neighbour's patience is for goes on meanwhile. The machine's other processes share this clock.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970, for people."""
    return time.time_ns() // 1_000_000


class Core(Protocol):
    """What an edge drives: a node's core, or a master's peer."""

    def handle(self, event: Any, now_ms: int) -> Sequence[Any]:
        """Takes one event; returns what is to be done, in order."""
        ...


class Sender(Protocol):
    """What an edge sends with."""

    def send(self, peer: str, data: bytes) -> None:
        """Hands a frame to the link with the peer; without a link it is dropped."""
        ...

    def drop(self, peer: str, cause: str) -> None:
        """Closes the link with the peer."""
        ...


class Edge:
    """Runs one core. `others` carries out instructions that only a node, or only a master, has.

    `on_disk_trouble` hears of a disk that refuses (a message) or works again ("").
    """

    def __init__(
        self,
        core: Core,
        stores: Stores,
        sender: Sender,
        others: dict[type, Callable[[Any], None]],
        on_disk_trouble: Callable[[str], None],
    ) -> None:
        self.core = core
        self.stores = stores
        self._sender = sender
        self._others = others
        self.disk = DiskWork(stores, self._do, self.feed, on_disk_trouble)
        self.in_thread = self.disk.in_thread
        self._newest: dict[type, Any] = {}
        self._quick: dict[type, Callable[[Any], object]] = {
            Send: lambda i: sender.send(i.peer, i.data),
            Drop: lambda i: sender.drop(i.peer, i.cause),
            SendBlobs: lambda i: self._background.start(self._send_blobs(i)),
            SendBatches: lambda i: self._background.start(self._send_batches(i)),
        }
        self._background = Background()

    # ---- driving ----

    def feed(self, event: Any) -> None:
        """Gives the core an event and carries out what follows."""
        self.carry(self.core.handle(event, now_ms()))

    def carry(self, instructions: Sequence[Any]) -> None:
        """Carries instructions out: at once up to the first durable one, the rest in its turn."""
        self._newest.update({type(i): i for i in instructions if isinstance(i, LAST_WORD)})
        for place, instruction in enumerate(instructions):
            if isinstance(instruction, DURABLE):
                self.disk.add(instructions[place:])
                return
            self._do(instruction)

    async def run(self) -> None:
        """Ticks, and does the disk's work, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            group.create_task(self.disk.run())

    # ---- inside ----

    async def _tick(self) -> None:
        while True:
            self.feed(Tick(wall_ms=wall_ms()))
            await asyncio.sleep(TICK_S)

    def _do(self, instruction: Any) -> None:
        if self._newest.get(type(instruction), instruction) is not instruction:
            return
        action = self._quick.get(type(instruction)) or self._others.get(type(instruction))
        if action is None:
            raise AssertionError(f"nobody carries out {type(instruction).__name__}")
        action(instruction)

    async def _send_blobs(self, i: SendBlobs) -> None:
        found: list[bytes] = []
        missing: list[bytes] = []
        size = 0
        for digest in i.digests:
            data = await self._blob(digest)
            if data is None:
                missing.append(digest)
                continue
            if size and size + len(data) > DOCUMENTS_BYTES_MAX:
                self._sender.send(i.peer, encode(documents=Documents(blobs=found)))
                found, size = [], 0
            found.append(data)
            size += len(data)
        documents = Documents(blobs=found, missing_blobs=missing)
        self._sender.send(i.peer, encode(documents=documents))

    async def _blob(self, digest: bytes) -> bytes | None:
        """A small blob; one that the disk cannot read is not here, and comes from another peer."""
        try:
            data: bytes | None = await self.in_thread(self.stores.blobs.get, digest)
        except DiskError as error:
            log.error("a blob cannot be read", error=str(error))
            return None
        return data

    async def _send_batches(self, i: SendBatches) -> None:
        try:
            found = await self.in_thread(
                self.stores.journals.read, i.log, i.after, DOCUMENTS_BYTES_MAX
            )
        except DiskError as error:
            log.error("a journal cannot be read", error=str(error))
            found = []
        if found:
            message = JournalBatches(batches=found)
            self._sender.send(i.peer, encode(journal_batches=message))
        self.feed(BatchesSent(i.peer, i.log, _last_of(found, i.after)))


def _last_of(envelopes: list[bytes], after: int) -> int:
    """The last sequence of the last batch; `after` where there is none."""
    if not envelopes:
        return after
    batch = JournalBatch.FromString(Envelope.FromString(envelopes[-1]).payload)
    return batch.first + len(batch.entries) - 1
