"""Alarms: conditions that a person should know of now, active until cleared.

docs/alarms.md lists the kinds: what sets and what clears each, and the way out.
"""

from mesh.events import Instruction, WriteJournal
from protos.documents_pb2 import AlarmState
from protos.troubles_pb2 import KeptAlarm, KeptTroubles

ALARMS_MAX = 128
"""In the list of one node, whose register has room for 256 entries of each kind. How many there are
beyond them is told by the last one."""
COUNTED_MAX = 512
"""Conditions whose count is remembered after they were cleared, about 200 bytes each. Of more than
these the one that was set longest ago begins at one again."""
MESSAGE_CHARACTERS_MAX = 400
"""Of a message; the journal has all of it. A register has room for some 25 of that length."""
KEPT_MAX = 128
"""Conditions of each kind of list that are kept over a restart of the agent, about 60 bytes each:
those that last, and the counts of those that were set last."""
CONTINUES_MS = 120_000
"""After a start, within which what was an alarm before it is the same one still. The slowest, a
state that does not come, is found after a minute."""
NOTHING = KeptTroubles()
CRITICAL = "critical"
MORE = "More"
"""The kind that says how many alarms are not in the list."""


class Alarms:
    """The active alarms of one node. Setting and clearing is journalled. What was active before
    this start goes on as the same alarm if it is set again within CONTINUES_MS."""

    def __init__(self, kept: KeptTroubles = NOTHING, now_ms: int = 0) -> None:
        self._active: dict[tuple[str, str], AlarmState] = {}
        self._counts = {(one.kind, one.subject): one.count for one in kept.counted[-KEPT_MAX:]}
        self._before = {(one.kind, one.subject): one for one in kept.active[:KEPT_MAX]}
        self._continues_ms = now_ms + CONTINUES_MS
        self.generation = 0
        """Grows with each alarm that is raised, cleared or says something else."""

    def set(
        self, kind: str, subject: str, message: str, severity: str, unix_ms: int
    ) -> list[Instruction]:
        """Raises the alarm, or does nothing if it is active already."""
        key = kind, subject
        if key in self._active:
            return []
        self.generation += 1
        before = self._before.pop(key, None)
        self._active[key] = AlarmState(
            kind=kind,
            subject=subject,
            message=message[:MESSAGE_CHARACTERS_MAX],
            severity=severity,
            since_unix_ms=unix_ms if before is None else before.since_unix_ms,
            count=self._counted(key) if before is None else before.count,
        )
        if before is not None:
            return []  # the journal has it
        fields = {"kind": kind, "severity": severity, "count": str(self._active[key].count)}
        return [WriteJournal("record", "alarm.set", subject, message, fields)]

    def _counted(self, key: tuple[str, str]) -> int:
        """How often the condition was set by now, this time included."""
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        if len(self._counts) > COUNTED_MAX:
            del self._counts[next(iter(self._counts))]
        return count

    def clear(self, kind: str, subject: str, why: str) -> list[Instruction]:
        """Ends the alarm, or does nothing if there is none, also from before this start."""
        key = kind, subject
        if self._active.pop(key, None) is None and self._before.pop(key, None) is None:
            return []
        self.generation += 1
        return [WriteJournal("record", "alarm.cleared", subject, why, {"kind": kind})]

    def update(
        self, kind: str, active: dict[str, str], severity: str, unix_ms: int
    ) -> list[Instruction]:
        """Makes the alarms of `kind` exactly `active` (subject to message)."""
        over = [s for known, s in self._active if known == kind and s not in active]
        if not (active or over):
            return []  # nearly always, of each of many kinds
        instructions: list[Instruction] = []
        for subject in sorted(over):
            instructions += self.clear(kind, subject, "the condition is over")
        for subject in sorted(active):
            instructions += self.set(kind, subject, active[subject], severity, unix_ms)
            self.say(kind, subject, active[subject])
        return instructions

    def say(self, kind: str, subject: str, message: str) -> None:
        """What an alarm that is active says from now on."""
        alarm, said = self._active[kind, subject], message[:MESSAGE_CHARACTERS_MAX]
        if alarm.message != said:
            alarm.message = said
            self.generation += 1

    def tick(self, now_ms: int) -> list[Instruction]:
        """Ends what was active before the start and did not come again."""
        if not self._before or now_ms < self._continues_ms:
            return []
        over, self._before = sorted(self._before), {}
        why = "it is not so any more since the agent started anew"
        return [
            WriteJournal("record", "alarm.cleared", subject, why, {"kind": kind})
            for kind, subject in over
        ]

    def kept(self) -> tuple[list[KeptAlarm], list[KeptAlarm]]:
        """What is kept over a restart: those that last, and how often each was set."""
        active = [
            KeptAlarm(
                kind=one.kind, subject=one.subject, since_unix_ms=one.since_unix_ms, count=one.count
            )
            for _, one in sorted(self._active.items())
        ]
        before = [one for _, one in sorted(self._before.items())]
        counted = [
            KeptAlarm(kind=kind, subject=subject, count=count)
            for (kind, subject), count in self._counts.items()
        ]
        return [*active, *before][:KEPT_MAX], counted[-KEPT_MAX:]

    def states(self) -> list[AlarmState]:
        """The active alarms, sorted, the critical ones first."""
        keys = sorted(self._active, key=lambda key: (self._active[key].severity != CRITICAL, key))
        states = [self._active[key] for key in keys]
        if len(states) <= ALARMS_MAX:
            return states
        return [*states[: ALARMS_MAX - 1], more(len(states) - ALARMS_MAX + 1)]


def more(left_out: int) -> AlarmState:
    """The alarm that so many others are not in the list."""
    message = f"{left_out} more are active here: `meshctl events` at this node shows each alarm.set"
    return AlarmState(
        kind=MORE, subject="alarms", message=message, severity="warning", count=left_out
    )
