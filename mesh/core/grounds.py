"""What decisions rest on of what other nodes say: most of what a register tells changes none.

In an hour of outages seven of ten registers say only that their node has another alarm, suspects
another node or has a path to a master again, and after each plan every node says that it has it.
What follows of those is told otherwise (who lives, who is the gateway, a local change that is new
here), or can wait until the next decision (`mesh/core/quiet.py`): what is collected, whose grants
count.
"""

from mesh.registers.store import Record
from protos.documents_pb2 import StableRegister

NO_GROUNDS = (
    "version",
    "wan",
    "suspicions",
    "alarms",
    "copy_holder",
    "seen_counter",
    "applied_counter",
    "in_force_counter",
    "in_force_generation",
    "local_changes",
)
"""Fields on which no decision rests. A field that is added rests one until it stands here."""


class Grounds:
    """What was said last, of each other node, that a decision may rest on."""

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}

    def changed(self, record: Record) -> bool:
        """Whether a newer register of a node says anything of that kind anew."""
        body = StableRegister()
        body.CopyFrom(record.body)
        for field in NO_GROUNDS:
            body.ClearField(field)
        said = body.SerializeToString(deterministic=True)
        before = self._said.get(body.node)
        self._said[body.node] = said
        return said != before

    def doubted(self, node: str) -> None:
        """What the node said is out of date: whatever it says next is looked at."""
        self._said.pop(node, None)
