"""What must not be and is: clones, restored disks, two histories, two states under one number.

A cloned disk (one boot counter, two nonces) means that two machines pose as one node. No new work
goes there, what runs goes on, and a person decides. It ends when the node is heard of under a later
boot. A disk that was restored from an old copy knows a lower boot than its peers: nobody heeds its
registers until it counts on above theirs. The floor is written down, and a restart of the daemon
takes it; it does not restart by itself, because a clone looks the same, and two that overtake each
other would never end.
"""

from mesh.core.alarms import Alarms
from mesh.events import Instruction, Notice, SaveDocument
from mesh.registers.store import Record
from protos.documents_pb2 import Boot

BOOT_FLOOR = "boot-floor"
"""The document that holds, as a Boot, the counter that the next start must count above."""

_TEXTS = {
    "clone": (
        "Clone",
        "two machines hold the disk of this node: switch one off, enrol it anew with a new ID",
    ),
    "boot": (
        "OldDisk",
        "peers know a later start of this node: its disk is an old copy. Make sure that no other "
        "machine has its disk, then restart meshd: it counts on from there",
    ),
    "equivocation": (
        "Equivocation",
        "the authority signed two contents under one number: the first stays in force. Find out "
        "who has its key, then sign something newer (any `meshctl apply`), or a new trust head",
    ),
    "fork": (
        "JournalFork",
        "the node signed two histories of one journal: the first is kept. Its disk was restored or "
        "copied, or somebody else has its key: enrol it anew with a new ID",
    ),
}


class Conflicts:
    """The conflicts that one node knows of. `alarms` are raised for them."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._clones: dict[str, int] = {}  # node -> the boot counter that two share
        self._floor = 0

    @property
    def clones(self) -> frozenset[str]:
        """The nodes that get no new work."""
        return frozenset(self._clones)

    @property
    def is_old_disk(self) -> bool:
        """Whether peers know a later start of this node than this one."""
        return self._floor > 0

    def noticed(self, notice: Notice, unix_ms: int) -> list[Instruction]:
        """A notice of the kinds clone, boot, equivocation and fork."""
        kind, text = _TEXTS[notice.what]
        message = f"{text} ({notice.cause})"
        raised = self._alarms.set(kind, notice.subject, message, "critical", unix_ms)
        if notice.what == "clone":
            self._clones[notice.subject] = notice.data.kept.counter
        if notice.what == "boot":
            return [*self._raise_floor(notice.data, notice.cause), *raised]
        return raised

    def _raise_floor(self, boot: Boot, cause: str) -> list[Instruction]:
        if boot.counter <= self._floor:
            return []
        self._floor = boot.counter
        return [SaveDocument(BOOT_FLOOR, boot.SerializeToString(deterministic=True), cause)]

    def spoke(self, kind: str) -> list[Instruction]:
        """A newer state, or trust, came into force: of it the authority has signed one content."""
        return self._alarms.clear("Equivocation", kind, f"a newer {kind} is in force")

    def heard(self, record: Record) -> list[Instruction]:
        """A newer register of a node: a later boot than the one that two share ends the clone."""
        node, counter = record.body.node, record.body.boot.counter
        if counter <= self._clones.get(node, counter):
            return []
        del self._clones[node]
        return self._alarms.clear("Clone", node, f"it started anew, boot {counter}")
