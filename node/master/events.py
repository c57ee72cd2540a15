"""What operators asked of the master, and why: events of its own, in its store.

An event is written in the commit that makes the change, so neither is there without the other. It
is no entry of a journal: journals are of nodes, and are copied; this stays with the store, which is
the master's record of what it said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mesh.heads.limits import REASON_MAX
from node.master.errors import MasterRefused
from node.master.records import Record
from node.master.store import Store, Write

EVENTS = "event"
"""The name of the store's table."""
EVENTS_MAX = 5_000
"""Kept, the newest: years of changes made by hand, about 2 MB. The numbers tell what is gone."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that was asked for and done. `sites`: where; `cause`: the operator's reason.
    `operator`: who asked, where that was before; else it is who asks now."""

    event: str
    subject: str
    cause: str
    sites: Sequence[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    operator: str = ""


@dataclass(frozen=True, slots=True)
class EventRecord(Record):
    """A kept event. `sequence` counts from 1, without gaps."""

    sequence: int
    unix_ms: int
    event: str
    subject: str
    cause: str
    sites: list[str]
    fields: dict[str, str]


class EventBook:
    """The master's events. `clock` gives milliseconds since 1970, `asking` the name of the operator
    who asks for what is done now, or ""."""

    def __init__(self, store: Store, clock: Callable[[], int], asking: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self.asking = asking

    def writes(self, *told: Told) -> list[Write]:
        """What keeps these events, and lets go of the oldest beyond the limit."""
        kept = [name for name, _ in self._store.scan(EVENTS)]
        after = int(kept[-1]) if kept else 0
        now_ms = self._clock()
        records = [
            EventRecord(
                after + number,
                now_ms,
                one.event,
                one.subject,
                one.cause,
                list(one.sites),
                self._fields(one),
            )
            for number, one in enumerate(told, 1)
        ]
        over = max(0, len(kept) + len(records) - EVENTS_MAX)
        old = [Write(EVENTS, name, None) for name in kept[:over]]
        # Ten digits, so that their order by name is that of their numbers.
        return old + [Write(EVENTS, f"{one.sequence:010d}", one.encode()) for one in records]

    def _fields(self, one: Told) -> dict[str, str]:
        operator = one.operator or self.asking()
        return {**one.fields, "operator": operator} if operator else dict(one.fields)

    def all(self) -> list[EventRecord]:
        """All that are kept, oldest first."""
        return [EventRecord.decode(data) for _, data in self._store.scan(EVENTS)]


def printable(reason: str) -> str:
    """An operator's reason as it is kept. Raises MasterRefused."""
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise MasterRefused(f"a reason has at most {REASON_MAX} characters, all printable")
    return reason or "no reason was given"
