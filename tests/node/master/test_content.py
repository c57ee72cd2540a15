"""What a master reads from its store when it starts."""

import pytest

from mesh.heads.limits import NUMBER_MAX
from node.master.content import CONTINUED, COUNTER, GENERATIONS, RESTARTS
from node.master.store import StoreRefused, Write
from tests.node.master.fleet import Fleet


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff\x00", b"-1", b"1" * 5000, b"%d" % (NUMBER_MAX + 1)],
    ids=["empty", "rubbish", "negative", "long", "too large"],
)
@pytest.mark.parametrize(
    ("table", "name"), [(CONTINUED, COUNTER), (RESTARTS, "north/faces"), (GENERATIONS, "Service/a")]
)
def test_a_number_of_the_store_that_is_none_is_refused_by_its_place(
    fleet: Fleet, table: str, name: str, value: bytes
) -> None:
    """None of them is taken as 0: knowledge of another history would count, and an exclusive
    pipeline might run twice."""
    fleet.store.commit([Write(table, name, value)])
    with pytest.raises(
        StoreRefused, match=f"{table}/{name} in .*master.sqlite.* is damaged.*from a backup"
    ):
        fleet.reopen()
    fleet.store.commit([Write(table, name, None)])
    fleet.reopen()
