"""Alarms: conditions that a person should know of now, active until cleared."""

from mesh.events import Instruction, WriteJournal
from protos.documents_pb2 import AlarmState

ALARMS_MAX = 128
"""Active at once on one node: its register has room for 256 entries of each kind."""


class Alarms:
    """The active alarms of one node. Setting and clearing is journalled."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], AlarmState] = {}
        self.generation = 0
        """Grows with each alarm that is raised or cleared."""

    def set(
        self, kind: str, subject: str, message: str, severity: str, unix_ms: int
    ) -> list[Instruction]:
        """Raises the alarm, or does nothing if it is active already."""
        if (kind, subject) in self._active or len(self._active) >= ALARMS_MAX:
            return []
        self.generation += 1
        self._active[kind, subject] = AlarmState(
            kind=kind, subject=subject, message=message, severity=severity, since_unix_ms=unix_ms
        )
        return [WriteJournal("record", "alarm.set", subject, message, {"kind": kind})]

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
        return instructions

    def states(self) -> list[AlarmState]:
        """The active alarms, sorted."""
        return [self._active[key] for key in sorted(self._active)]
