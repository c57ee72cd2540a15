"""This node's own journal: entries are gathered, signed as batches, and put on disk.

Records are written as soon as the disk is free, several at once when they come quickly; data
entries wait a moment, so that a camera costs two writes a second and not twenty.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from mesh.events import BatchSaved
from mesh.journals.batches import Batch, BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from mesh.signed import Signer
from node.agent.edge import now_ms, wall_ms
from node.disk.errors import DiskError
from protos.documents_pb2 import Boot, JournalEntry

DATA_EVERY_S = 0.5
RETRY_S = 2.0
PENDING_MAX = 4096
"""Entries that wait for a disk which refuses: about 4 MiB. Above it data is dropped, counted."""

log = structlog.get_logger(__name__)


class OwnJournal:
    """The journal of this boot. `save` writes batches durably (it runs in the disk's thread)."""

    def __init__(
        self,
        node: str,
        boot: Boot,
        signer: Signer,
        save: Callable[[list[Batch]], Awaitable[None]],
        feed: Callable[[Any], None],
    ) -> None:
        self._writers = {
            kind: BatchWriter(LogKey(node, boot.counter, boot.nonce, kind), signer)
            for kind in ("record", "data")
        }
        self._pending: dict[str, list[JournalEntry]] = {"record": [], "data": []}
        self._dropped = 0
        self._started_ms = now_ms()
        self._save = save
        self._feed = feed
        self._news = asyncio.Event()

    @property
    def records(self) -> int:
        """Records written or waiting, in this boot."""
        return self._writers["record"].next_sequence - 1 + len(self._pending["record"])

    def write(
        self, kind: str, event: str, subject: str, cause: str, fields: dict[str, str]
    ) -> None:
        """Takes an entry; it is on disk a moment later."""
        if kind == "data" and len(self._pending["data"]) >= PENDING_MAX:
            self._dropped += 1
            return
        entry = make_entry(
            event,
            subject,
            cause,
            fields,
            unix_ms=wall_ms(),
            monotonic_ms=now_ms() - self._started_ms,
        )
        self._pending[kind].append(entry)
        if kind == "record":
            self._news.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            try:
                async with asyncio.timeout(DATA_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            await self.flush()

    async def flush(self) -> None:
        """Puts what waits on disk; what the disk refuses is tried again."""
        for kind in ("record", "data"):
            entries, self._pending[kind] = self._pending[kind], []
            if not entries:
                continue
            dropped, self._dropped = (self._dropped, 0) if kind == "data" else (0, self._dropped)
            await self._put(list(self._writers[kind].batches(entries, dropped)))

    async def _put(self, batches: list[Batch]) -> None:
        while True:
            try:
                await self._save(batches)
                break
            except DiskError as error:
                log.error("the journal waits for the disk", error=str(error))
                await asyncio.sleep(RETRY_S)
        for batch in batches:
            self._feed(BatchSaved(batch))
