"""Alarms: conditions that a person should know of now, active until cleared.

docs/alarms.md lists the kinds: what sets and what clears each, and the way out.
"""

from mesh.events import Instruction, WriteJournal
from protos.documents_pb2 import AlarmState

ALARMS_MAX = 128
"""In the list of one node, whose register has room for 256 entries of each kind. How many there are
beyond them is told by the last one."""
COUNTED_MAX = 512
"""Conditions whose count is remembered after they were cleared, about 200 bytes each. Of more than
these the one that was set longest ago begins at one again."""
MESSAGE_CHARACTERS_MAX = 400
"""Of a message; the journal has all of it. A register has room for some 25 of that length."""
CRITICAL = "critical"
MORE = "More"
"""The kind that says how many alarms are not in the list."""


class Alarms:
    """The active alarms of one node. Setting and clearing is journalled."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], AlarmState] = {}
        self._counts: dict[tuple[str, str], int] = {}
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
        self._active[key] = AlarmState(
            kind=kind,
            subject=subject,
            message=message[:MESSAGE_CHARACTERS_MAX],
            severity=severity,
            since_unix_ms=unix_ms,
            count=self._counted(key),
        )
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
        """Ends the alarm, or does nothing if there is none."""
        if self._active.pop((kind, subject), None) is None:
            return []
        self.generation += 1
        return [WriteJournal("record", "alarm.cleared", subject, why, {"kind": kind})]

    def update(
        self, kind: str, active: dict[str, str], severity: str, unix_ms: int
    ) -> list[Instruction]:
        """Makes the alarms of `kind` exactly `active` (subject to message)."""
        instructions: list[Instruction] = []
        over = [s for known, s in self._active if known == kind and s not in active]
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
