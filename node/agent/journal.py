"""This node's own journal: entries are gathered, signed as batches, and put on disk.

Records are written as soon as the disk is free, several at once when they come quickly; data
entries wait a moment, so that a camera costs two writes a second and not twenty.

When the disk refuses, batches that were signed already are kept as they are and tried again, and
entries wait in memory. Beyond a limit they are dropped and counted: data in the next batch, records
in a record of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
KINDS = ("record", "data")
PENDING_MAX = {"record": 65_536, "data": 4_096}
"""Entries that wait for a disk which refuses: of records about 32 MiB, a day of a busy node; of
data 4 MiB."""

log = structlog.get_logger(__name__)


class OwnJournal:
    """The journal of this boot. `save` writes batches durably (it runs in the disk's thread).

    `on_trouble` hears of a disk that refuses the journal (a message) or takes it again ("").
    """

    def __init__(
        self,
        node: str,
        boot: Boot,
        signer: Signer,
        save: Callable[[list[Batch]], Awaitable[None]],
        feed: Callable[[Any], None],
        on_trouble: Callable[[str], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._node = node
        self._writers = {
            kind: BatchWriter(LogKey(node, boot.counter, boot.nonce, kind), signer)
            for kind in KINDS
        }
        self._pending: dict[str, list[JournalEntry]] = {kind: [] for kind in KINDS}
        self._signed: dict[str, list[Batch]] = {kind: [] for kind in KINDS}
        self._dropped = dict.fromkeys(KINDS, 0)
        self._started_ms = now_ms()
        self._save = save
        self._feed = feed
        self._on_trouble = on_trouble
        self._retry_s = retry_s
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._refused = False

    @property
    def records(self) -> int:
        """Records written or waiting, in this boot."""
        return self._writers["record"].next_sequence - 1 + len(self._pending["record"])

    def write(
        self,
        kind: str,
        event: str,
        subject: str,
        cause: str,
        fields: dict[str, str],
        unix_ms: int = 0,
    ) -> None:
        """Takes an entry; it is on disk a moment later. `unix_ms`: when it happened; 0: now."""
        if len(self._pending[kind]) >= PENDING_MAX[kind]:
            self._dropped[kind] += 1
            return
        self._pending[kind].append(self._entry(event, subject, cause, fields, unix_ms))
        self._news.set()
        if kind == "record":
            self._urgent.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            if not (any(self._signed.values()) or any(self._pending.values())):
                await self._news.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(DATA_EVERY_S):
                    await self._urgent.wait()
            self._news.clear()
            self._urgent.clear()
            if not await self.flush():
                await asyncio.sleep(self._retry_s)

    async def flush(self) -> bool:
        """Puts what waits on disk. False if the disk refuses: it all waits on, in order."""
        async with self._one_at_a_time:
            for kind in KINDS:
                while self._sign(kind):
                    if not await self._put(kind):
                        return False
            return True

    def _entry(
        self, event: str, subject: str, cause: str, fields: dict[str, str], unix_ms: int = 0
    ) -> JournalEntry:
        return make_entry(
            event or "unnamed",  # an entry without a name would cost its whole batch at a reader
            subject,
            cause,
            fields,
            unix_ms=unix_ms or wall_ms(),
            monotonic_ms=now_ms() - self._started_ms,
        )

    def _sign(self, kind: str) -> bool:
        """Makes batches of what waits, once those are on disk that it refused; whether there are
        any to write."""
        if self._signed[kind] or not self._pending[kind]:
            return bool(self._signed[kind])
        dropped, self._dropped[kind] = self._dropped[kind], 0
        entries, self._pending[kind] = self._pending[kind], []
        if kind == "record" and dropped:
            why = "the disk refused for too long"
            entries.append(self._entry("journal.lost", self._node, why, {"records": str(dropped)}))
            dropped = 0
        self._signed[kind] = list(self._writers[kind].batches(entries, dropped))
        return True

    async def _put(self, kind: str) -> bool:
        try:
            await self._save(self._signed[kind])
        except DiskError as error:
            log.error("the journal waits for the disk", error=str(error))
            self._refused = True
            self._on_trouble(str(error))
            return False
        batches, self._signed[kind] = self._signed[kind], []
        for batch in batches:
            self._feed(BatchSaved(batch))
        if self._refused:
            self._refused = False
            self._on_trouble("")
        return True
