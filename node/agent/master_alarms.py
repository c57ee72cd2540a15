"""What is wrong at a master itself: its disk, its journals, contradictions among its peers. Like
those of a node, its alarms go on over a restart: see mesh/core/troubles.py."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from mesh.core.alarms import Alarms
from mesh.core.conflicts import Conflicts
from mesh.core.troubles import Troubles
from mesh.events import Instruction, Notice
from node.agent.drops import Drops
from node.agent.edge import now_ms, wall_ms
from node.disk.errors import DiskError
from node.disk.journals import Dropped, Report, Unsynced
from protos.troubles_pb2 import KeptTroubles

LOOK_S = 5.0
SHORT = (
    "the room that is kept for state and journals is being used up: free space on the disk of the "
    "data folder, or nothing new can be pushed, and in the end nothing acknowledged"
)

log = structlog.get_logger(__name__)
InThread = Callable[..., Awaitable[Any]]


class MasterAlarms:
    """What is wrong at one master. `reports` and `is_short` ask its disk, in a thread. `kept` is
    what the disk held at the start, or empty; `carry` writes what it is to hold."""

    def __init__(
        self,
        reports: Callable[[], Iterable[Report]],
        is_short: Callable[[], bool],
        in_thread: InThread,
        kept: bytes,
        carry: Callable[[Sequence[Instruction]], None],
    ) -> None:
        self._reports = reports
        self._is_short = is_short
        self._in_thread = in_thread
        self._drops = Drops("Let pipelines journal less, or read them out earlier")
        self._carry = carry
        self._troubles = Troubles(kept, now_ms())
        self.alarms = Alarms(self._troubles.kept, now_ms())
        self.conflicts = Conflicts(self.alarms)

    def noticed(self, notice: Notice) -> None:
        """Peers contradict each other: a clone, a fork, an equivocation."""
        self.conflicts.noticed(notice, wall_ms())

    def disk(self, message: str) -> None:
        """The disk refuses, or works again ("")."""
        log.error("the disk", message=message or "works again")
        self._set("DataFolder", "state", message)

    def box(self, name: str, message: str) -> None:
        """A box that was admitted at its site is not taken in here, or that is over ("")."""
        self._set("Admission", name, message)

    async def look(self) -> None:
        """Looks at the disk."""
        try:
            short = await self._in_thread(self._is_short)
        except DiskError as error:
            self._set("Disk", "reserve", f"its free room is not known: {error}")
        else:
            self._set("Disk", "reserve", SHORT if short else "")
        for report in await self._in_thread(self._reports):
            self._heard(report)
        self._set("Journal", "data", self._drops.message(now_ms() / 1000), "warning")
        self.tick(now_ms())

    def tick(self, now_ms: int) -> None:
        """Ends what did not come again after the start, and keeps what is another by now."""
        self.alarms.tick(now_ms)
        self._carry(self._troubles.tick(self._kept, self.alarms.generation, now_ms))

    def ends(self) -> None:
        """Keeps what is another by now, of a master that ends."""
        self._carry(self._troubles.save(self._kept, now_ms()))

    def _kept(self, ended_ms: int) -> KeptTroubles:
        """What is kept; none of it is bound to a time of this clock."""
        active, counted = self.alarms.kept()
        return KeptTroubles(active=active, counted=counted)

    def _heard(self, report: Report) -> None:
        subject = str(report.key)
        if isinstance(report, Dropped):
            log.warning("data went under the quota", log=subject, last=report.last)
            self._drops.heard(report, 0, now_ms() / 1000)
        elif isinstance(report, Unsynced):
            text = f"{report.detail}: once the disk is well, restart the master"
            self._set("DataFolder", subject, text)
        elif not report.torn:
            text = "entries on the disk are damaged: see the folder journals/.damaged, and the disk"
            self._set("Damaged", subject, text)

    def _set(self, kind: str, subject: str, message: str, severity: str = "critical") -> None:
        if not message:
            self.alarms.clear(kind, subject, "it is over")
            return
        if self.alarms.set(kind, subject, message, severity, wall_ms()):
            log.warning("alarm", kind=kind, subject=subject, message=message)
        self.alarms.say(kind, subject, message)
