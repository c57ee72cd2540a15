"""A neighbour that has no room for more copies of a node's records: said, and made up for."""

from mesh.core.messages import Trouble
from mesh.events import WriteJournal
from mesh.journals.keys import DATA, RECORD, LogKey
from mesh.journals.limits import COPY_BYTES_A_NODE_MAX
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def test_records_that_were_not_copied_for_want_of_room_are_copied_later() -> None:
    site = Site(nodes=2).settle()
    writer, holder = site.nodes
    site.cut_wan()
    site.world.run(2_000)
    flood = LogKey(writer.name, 99, b"12345678", RECORD)
    copies = holder.core.peer.logs.copies
    copies.stored(flood, 1, COPY_BYTES_A_NODE_MAX)
    writer.feed(Trouble("DataFolder", "disk", "full", "critical"))
    site.world.run(12_000)
    (alarm,) = [a for a in holder.core.alarms.states() if a.kind == "Copies"]
    assert alarm.subject == writer.name
    own = next(key for key in writer.disk.logs if key.kind == RECORD and key.node == writer.name)
    assert holder.disk.logs[own][-1].last < writer.disk.logs[own][-1].last
    copies.trimmed(flood)
    site.world.run(16_000)
    assert holder.disk.logs[own][-1].last == writer.disk.logs[own][-1].last
    assert [a for a in holder.core.alarms.states() if a.kind == "Copies"] == []


def test_a_log_that_begins_is_copied_at_once() -> None:
    site = Site(nodes=2).settle()
    writer, holder = site.nodes
    site.cut_wan()
    site.world.run(7_000)
    assert not logs_of(holder, writer.name)
    writer.do_WriteJournal(WriteJournal(DATA, "detections", "door", "it saw a face"))
    site.world.run_until(lambda: logs_of(holder, writer.name), 1_000, "the neighbour has a copy")


def logs_of(holder: SimNode, writer: str) -> list[LogKey]:
    """The logs of data that it holds of that node."""
    return [key for key in holder.disk.logs if (key.node, key.kind) == (writer, DATA)]
