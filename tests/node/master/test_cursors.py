"""Acknowledgements never go back, and outlive a restart."""

from mesh.journals import DATA, RECORD, LogKey, open_acknowledgement
from node.master.cursors import Cursors
from tests.node.master.fleet import Fleet

LOG = LogKey("node-1", 3, b"12345678", RECORD)
OTHER = LogKey("node-1", 3, b"12345678", DATA)


def test_cursors(fleet: Fleet) -> None:
    signer = fleet.keys.acknowledge_signer
    keys = fleet.authority.trust.keys("acknowledge")
    cursors = Cursors(fleet.store, "master-1", signer)
    assert cursors.acknowledge({LOG: 0}) == {}
    made = open_acknowledgement(cursors.acknowledge({LOG: 7, OTHER: 2})[LOG], keys)
    assert (made.key, made.sequence, made.master) == (LOG, 7, "master-1")
    assert open_acknowledgement(cursors.acknowledge({LOG: 5})[LOG], keys).sequence == 7
    fleet.reopen()
    cursors = Cursors(fleet.store, "master-1", signer)
    assert cursors.sequences() == {LOG: 7, OTHER: 2}
    assert cursors.all() == cursors.acknowledge({LOG: 1, OTHER: 1})
