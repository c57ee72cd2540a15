"""The edge of a core: carries its instructions out, in order, and feeds it what comes of them.

What follows a durable step in one answer of the core waits until that step is on disk; everything
else goes at once, so that a slow disk delays no probe. All disk work is done by one thread, in
order, away from the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import structlog

from mesh.events import (
    BatchesSent,
    BatchLost,
    BatchSaved,
    Drop,
    SaveBatch,
    SaveBlob,
    SaveDocument,
    Send,
    SendBatches,
    SendBlobs,
    Tick,
)
from mesh.exchange.frames import DOCUMENTS_BYTES_MAX, encode
from node.disk.blobs import BlobStore
from node.disk.documents import DocumentStore
from node.disk.errors import DiskError
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalBatch
from protos.peer_pb2 import Documents, JournalBatches
from protos.signed_pb2 import Envelope

TICK_S = 0.15
DURABLE = (SaveDocument, SaveBlob, SaveBatch)

log = structlog.get_logger(__name__)


def now_ms() -> int:
    """Milliseconds of the monotonic clock."""
    return time.monotonic_ns() // 1_000_000


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


class Stores:
    """The stores of one data folder."""

    def __init__(self, documents: DocumentStore, blobs: BlobStore, journals: JournalStore) -> None:
        self.documents = documents
        self.blobs = blobs
        self.journals = journals


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
        self._on_disk_trouble = on_disk_trouble
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._jobs: asyncio.Queue[list[Any]] = asyncio.Queue()
        self._trouble = False
        self._quick: dict[type, Callable[[Any], None]] = {
            Send: lambda i: sender.send(i.peer, i.data),
            Drop: lambda i: sender.drop(i.peer, i.cause),
            SendBlobs: lambda i: self._spawn(self._send_blobs(i)),
            SendBatches: lambda i: self._spawn(self._send_batches(i)),
        }
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- driving ----

    def feed(self, event: Any) -> None:
        """Gives the core an event and carries out what follows."""
        self.carry(self.core.handle(event, now_ms()))

    def carry(self, instructions: Sequence[Any]) -> None:
        """Carries instructions out: at once up to the first durable one, the rest in its turn."""
        for place, instruction in enumerate(instructions):
            if isinstance(instruction, DURABLE):
                self._jobs.put_nowait(list(instructions[place:]))
                return
            self._do(instruction)

    async def run(self) -> None:
        """Ticks, and does the disk's work, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick())
                group.create_task(self._work())
        finally:
            self._disk.shutdown(wait=False)

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs blocking disk work in the disk's thread, after what was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, function, *arguments)

    # ---- inside ----

    async def _tick(self) -> None:
        while True:
            self.feed(Tick(wall_ms=wall_ms()))
            await asyncio.sleep(TICK_S)

    def _do(self, instruction: Any) -> None:
        action = self._quick.get(type(instruction)) or self._others.get(type(instruction))
        if action is None:
            raise AssertionError(f"nobody carries out {type(instruction).__name__}")
        action(instruction)

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            for place, instruction in enumerate(job):
                if not isinstance(instruction, DURABLE):
                    self._do(instruction)
                elif not await self._durable(instruction):
                    self._give_up(job[place:])
                    break

    async def _durable(self, instruction: Any) -> bool:
        """Does one durable step; whether it is on disk now."""
        try:
            await self.in_thread(self._save, instruction)
        except DiskError as error:
            log.error("the disk refused", error=str(error), what=type(instruction).__name__)
            self._trouble = True
            self._on_disk_trouble(str(error))
            return False
        if self._trouble:
            self._trouble = False
            self._on_disk_trouble("")
        if isinstance(instruction, SaveBatch):
            self.feed(BatchSaved(instruction.batch))
        return True

    def _save(self, instruction: Any) -> None:
        match instruction:
            case SaveDocument():
                self.stores.documents.put(instruction.name, instruction.data)
            case SaveBlob():
                self.stores.blobs.put(instruction.data)
            case SaveBatch():
                self.stores.journals.append([instruction.batch])
                if instruction.batch.key.kind == "data":
                    self.stores.journals.flush()

    def _give_up(self, job: list[Any]) -> None:
        """What depends on a step that failed is not done; lost batches may come again."""
        for instruction in job:
            if isinstance(instruction, SaveBatch):
                self.feed(BatchLost(instruction.batch.key, "the disk refused"))

    async def _send_blobs(self, i: SendBlobs) -> None:
        found: list[bytes] = []
        missing: list[bytes] = []
        size = 0
        for digest in i.digests:
            data = await self.in_thread(self.stores.blobs.get, digest)
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

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _last_of(envelopes: list[bytes], after: int) -> int:
    """The last sequence of the last batch; `after` where there is none."""
    if not envelopes:
        return after
    batch = JournalBatch.FromString(Envelope.FromString(envelopes[-1]).payload)
    return batch.first + len(batch.entries) - 1
