"""A neighbour that has no room for more copies of a node's records: said, and made up for."""

from mesh.core.messages import Trouble
from mesh.journals.keys import RECORD, LogKey
from mesh.journals.limits import COPY_BYTES_A_NODE_MAX
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
