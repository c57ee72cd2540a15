"""What is kept of troubles over a restart: by a node its alarms, quarantines, crashes, that it is
drained, and that its runtime is gone; by a master its own alarms."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from mesh.events import Instruction, SaveDocument
from protos.troubles_pb2 import KeptTroubles

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

TROUBLES = "troubles"
"""The document: a KeptTroubles."""
SAVE_EVERY_MS = 10_000
"""Between two writes, in the long run, so that what comes and goes does not wear the disk. An agent
that dies loses so much of its counts at most; one that ends as planned, nothing."""
LOOK_EVERY_MS = 1_000
"""Between two looks while no alarm changes."""
AT_ONCE = 6
"""Writes after a quiet minute that do not wait for that: of what is journalled, or the next agent
would journal it once more."""
TIMES_EVERY_MS = 60_000
"""Between two writes for no other reason than that time goes by. An agent that dies is taken to
have lived so long after its last one: its quarantines may end earlier by that, and never last for
ever where it dies again and again."""

Body = Callable[[int], KeptTroubles]
"""What is to be kept of an agent that ends at that time, in ms by the clock of its ticks."""


class Troubles:
    """`document` is what the disk held at the start, or empty; `kept` is what it holds."""

    def __init__(self, document: bytes, now_ms: int) -> None:
        self._ended_ms = now_ms  # as the disk has it
        self._alarms, self._looked_ms = -1, now_ms
        self._saved_ms = now_ms - SAVE_EVERY_MS
        self._next_ms = now_ms - (AT_ONCE - 1) * SAVE_EVERY_MS
        try:
            self.kept = KeptTroubles.FromString(document)
        except DecodeError:
            self.kept = KeptTroubles()  # of another release: all is counted anew

    def tick(self, body_of: Body, alarms: int, now_ms: int) -> list[Instruction]:
        """Keeps what is another by now, once in a while, and what is journalled at once. `alarms`
        is the generation of the alarms: all else is looked at once a second."""
        is_seen = alarms == self._alarms and now_ms - self._looked_ms < LOOK_EVERY_MS
        if now_ms < self._next_ms or is_seen:
            return []
        self._alarms, self._looked_ms = alarms, now_ms
        later_ms = now_ms + TIMES_EVERY_MS
        body = body_of(self._ended_ms if now_ms < self._ended_ms else later_ms)
        is_time = now_ms - self._saved_ms >= SAVE_EVERY_MS
        if body == self.kept or not (is_time or _journalled(body) != _journalled(self.kept)):
            return []
        return self._write(body_of, now_ms, later_ms)

    def save(self, body_of: Body, now_ms: int) -> list[Instruction]:
        """Keeps what is another by now, of an agent that ends."""
        return [] if body_of(now_ms) == self.kept else self._write(body_of, now_ms, now_ms)

    def _write(self, body_of: Body, now_ms: int, ended_ms: int) -> list[Instruction]:
        burst_ms = (AT_ONCE - 1) * SAVE_EVERY_MS
        self._next_ms = max(self._next_ms, now_ms - burst_ms) + SAVE_EVERY_MS
        self._saved_ms, self._ended_ms, self.kept = now_ms, ended_ms, body_of(ended_ms)
        document = self.kept.SerializeToString(deterministic=True)
        return [SaveDocument(TROUBLES, document, "alarms, quarantines and crashes")]


def of_node(core: "NodeCore", ended_ms: int) -> KeptTroubles:
    """What a node keeps, whose agent ends at `ended_ms`."""
    active, counted = core.alarms.kept()
    quarantined, crashes = core.quarantine.kept(ended_ms)
    timed = quarantined or any(one.at_ms for one in crashes)
    return KeptTroubles(
        active=active,
        counted=counted,
        quarantined=quarantined,
        crashes=crashes,
        drained=core.cordon.drained,
        runtime_gone=core.runtime_loss.said,
        ended_ms=ended_ms if timed else 0,
    )


def _journalled(body: KeptTroubles) -> tuple[object, ...]:
    """That of which the journal has each change."""
    alarms = [(one.kind, one.subject) for one in body.active]
    quarantined = [(one.workload, one.config) for one in body.quarantined]
    return alarms, quarantined, body.drained, body.runtime_gone
