"""What a node does now and then for its own disk: tell of damage, trim, remember.

- How much room is left is looked at: where it is short, what nobody needs goes.
- What the journal store found damaged or dropped becomes a record, so that it reaches the master.
- Entries that a master acknowledged seven days ago are removed; copies of others' at once, where
  they take much room.
- Acknowledgements are kept on disk, once a minute where there are new ones: a node that starts
  during an outage would otherwise fetch from its neighbours what it had trimmed, and could not say
  what is still to be handed over. They come again from peers, so the last minute may be lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from mesh.core.messages import DiskRoom, Trouble
from mesh.journals.logs import Logs
from node.agent.drops import Drops
from node.agent.edge import now_ms
from node.disk.errors import DiskError
from node.disk.journals import Dropped, JournalStore, Unsynced
from node.disk.recovery import Damage
from protos.peer_pb2 import Documents

REPORTS_S = 5.0
KEEP_S = 60.0
TRIM_S = 3600.0
ACKNOWLEDGEMENTS = "acknowledgements"
"""The document in which acknowledgements are kept."""
KEPT_BYTES_MAX = 2 * 1024 * 1024
"""Of acknowledgements on disk: 8,000 logs of 250 bytes. The rest come again from peers."""
WAY_OUT = (
    "No master has them: see to the WAN, raise journal.quota, or let pipelines journal less "
    "(onChange, summaryEvery)"
)

log = structlog.get_logger(__name__)

Write = Callable[[str, str, str, str, dict[str, str]], None]
InThread = Callable[..., Awaitable[Any]]


class Housekeeping:
    """Looks after the journals on this node's disk, and the room on it.

    `is_short` says whether the room that is reserved is being used up; `save` keeps a document, or
    returns False while the disk refuses; `write` takes an entry of the node's own journal.
    """

    def __init__(
        self,
        journals: JournalStore,
        logs: Logs,
        in_thread: InThread,
        save: Callable[[str, bytes], bool],
        write: Write,
        feed: Callable[[Any], None],
        is_short: Callable[[], bool],
    ) -> None:
        self._journals = journals
        self._logs = logs
        self._in_thread = in_thread
        self._save = save
        self._write = write
        self._feed = feed
        self._is_short = is_short
        self._was_short = False
        self._drops = Drops(WAY_OUT)
        self._lost = ""
        self._kept = b""

    async def run(self) -> None:
        """Keeps at it. Cancel to end."""
        due_s = {
            self.look: 0.0,
            self.tell: 0.0,
            self.relieve: 0.0,
            self.keep: KEEP_S,
            self.trim: 0.0,
        }
        every_s = {
            self.look: REPORTS_S,
            self.tell: REPORTS_S,
            self.relieve: REPORTS_S,
            self.keep: KEEP_S,
            self.trim: TRIM_S,
        }
        clock = asyncio.get_running_loop().time
        started_s = clock()
        while True:
            for work in due_s:
                if clock() - started_s >= due_s[work]:
                    due_s[work] += every_s[work]
                    await work()
            await asyncio.sleep(REPORTS_S)

    async def look(self) -> None:
        """Tells whether the disk is short of room: every time while it is, and once when not."""
        try:
            short = await self._in_thread(self._is_short)
        except DiskError as error:
            log.error("the room on the disk is not known", error=str(error))
            return
        if short or self._was_short:
            self._feed(DiskRoom(short))
        self._was_short = short

    async def tell(self) -> None:
        """Records what was damaged or dropped since the last time."""
        for report in self._journals.reports():
            if isinstance(report, Dropped):
                fields = {"first": str(report.first), "last": str(report.last)}
                self._write("record", "journal.dropped", str(report.key), "the quota", fields)
                self._drops.heard(report, self._logs.acknowledged(report.key), now_ms() / 1000)
                if report.gone:
                    self._logs.forgotten(report.key)
            elif isinstance(report, Unsynced):
                self._tell_unsynced(report)
            else:
                self._tell_damage(report)
        lost = self._drops.message(now_ms() / 1000)
        if lost != self._lost:
            self._lost = lost
            self._feed(Trouble("Journal", "data", lost))

    def _tell_unsynced(self, report: Unsynced) -> None:
        subject = str(report.key)
        log.error("a journal cannot be synced", log=subject, error=report.detail)
        self._write("record", "journal.unsynced", subject, report.detail, {})
        text = f"{report.detail}: once the disk is well, restart the daemon, which checks the log"
        self._feed(Trouble("DataFolder", subject, text, "critical"))

    def _tell_damage(self, damage: Damage) -> None:
        subject, after = str(damage.key), str(damage.after)
        if damage.torn:
            cause = "a write was cut short; nothing that was durable is lost"
            self._write("record", "journal.torn", subject, cause, {"after": after})
            return
        cause = "entries on the disk are damaged; they come again from who has a copy"
        log.error("a journal is damaged", log=subject, after=damage.after)
        self._write("record", "journal.damaged", subject, cause, {"after": after})
        text = f"{cause}: see the folder journals/.damaged, and to this disk"
        self._feed(Trouble("Damaged", subject, text, "critical"))

    async def keep(self) -> None:
        """Keeps the acknowledgements on disk, if there are new ones."""
        data = remember(self._logs)
        if data != self._kept and self._save(ACKNOWLEDGEMENTS, data):
            self._kept = data

    async def relieve(self) -> None:
        """Makes room for copies of others' records, where they are many."""
        if self._logs.copies.any_crowded():
            await self.trim()

    async def trim(self) -> None:
        """Removes what was acknowledged long ago, or lately where copies are many."""
        for key, up_to in self._logs.trimmable(now_ms()):
            try:
                first = await self._in_thread(self._journals.trim, key, up_to)
            except DiskError as error:
                log.error("a journal cannot be trimmed", error=str(error))
                return
            self._logs.copies.trimmed(key, None if first is None else first - 1)
            if first is None:
                self._logs.forgotten(key)


def remember(logs: Logs) -> bytes:
    """The acknowledgements that are known, as the document to keep."""
    envelopes: list[bytes] = []
    size = 0
    for _, _, envelope in logs.acknowledgements():
        size += len(envelope) + 8
        if size > KEPT_BYTES_MAX:
            break
        envelopes.append(envelope)
    return Documents(acknowledgements=envelopes).SerializeToString()


def recall(data: bytes | None, logs: Logs, keys: Sequence[bytes]) -> None:
    """Takes the kept acknowledgements back. Each is verified again: `keys` may acknowledge."""
    for envelope in Documents.FromString(data or b"").acknowledgements:
        logs.acknowledge(envelope, keys, now_ms())
