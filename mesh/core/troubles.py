"""What a node keeps of its troubles over a restart of its agent: alarms, quarantines, crashes, and
that it is drained."""

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from mesh.events import Instruction, SaveDocument
from protos.troubles_pb2 import KeptTroubles

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

TROUBLES = "troubles"
"""The document: a KeptTroubles."""
SAVE_EVERY_MS = 10_000
"""Between two writes, so that an alarm that comes and goes does not wear the disk. An agent that
dies loses so much of its counts at most; one that ends as planned, nothing."""


class Troubles:
    """`kept` is what the disk held at the start; `document` is that, or empty."""

    def __init__(self, document: bytes, now_ms: int) -> None:
        self._document = document
        self._saved_ms = now_ms
        try:
            self.kept = KeptTroubles.FromString(document)
        except DecodeError:
            self.kept = KeptTroubles()  # of another release: all is counted anew
        self._drained = self.kept.drained

    def tick(self, core: "NodeCore", now_ms: int) -> list[Instruction]:
        """Keeps what is another by now, once in a while; that it is drained at once, so that it is
        told once."""
        if core.cordon.drained == self._drained and now_ms - self._saved_ms < SAVE_EVERY_MS:
            return []
        return self.save(core, now_ms)

    def save(self, core: "NodeCore", now_ms: int) -> list[Instruction]:
        """Keeps what is another by now."""
        self._saved_ms, self._drained = now_ms, core.cordon.drained
        active, counted = core.alarms.kept()
        quarantined, crashes = core.quarantine.kept(now_ms)
        body = KeptTroubles(
            active=active,
            counted=counted,
            quarantined=quarantined,
            crashes=crashes,
            drained=core.cordon.drained,
        )
        document = body.SerializeToString(deterministic=True)
        if document == self._document:
            return []
        self._document = document
        return [SaveDocument(TROUBLES, document, "alarms, quarantines and crashes")]
