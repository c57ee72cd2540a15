"""Wall clocks that are wrong are told of, and change nothing; and so is a state that does not come
into force."""

import pytest

from mesh.core.clocks import FRESH_MS, OFF_MS, Clocks
from mesh.core.lag import OUT_OF_SYNC_MS, Lag
from mesh.core.messages import DiskRoom
from mesh.journals.batches import Batch
from mesh.journals.keys import LogKey
from protos.documents_pb2 import JournalEntry
from tests.sim.nodes import SimNode
from tests.sim.site import Site

NOON_MS = 1_700_000_000_000
YEAR_2106_MS = 2**32 * 1000


def entries(node: str, *unix_ms: int) -> Batch:
    written = tuple(JournalEntry(unix_ms=one) for one in unix_ms)
    return Batch(LogKey(node, 1, b"n" * 8, "record"), 1, len(written), b"", b"", 0, written, b"")


def faults(
    ahead_ms: dict[str, int], signed_ms: int = 0, live: str = "abcdef", after_ms: int = 0
) -> dict[str, str]:
    """What the node `a` finds, whose clock is at noon when it hears of these differences."""
    clocks = Clocks("a")
    for node, difference in ahead_ms.items():
        clocks.heard(entries(node, NOON_MS - 5_000, NOON_MS + difference), 1_000)
    clocks.look(live, NOON_MS + after_ms, signed_ms, 1_000 + after_ms)
    return clocks.faults


@pytest.mark.parametrize(
    ("ahead_ms", "wrong"),
    [
        pytest.param({}, [], id="nobody says anything"),
        pytest.param({"b": OFF_MS, "c": -OFF_MS * 60}, [], id="within it, and old entries"),
        pytest.param({"b": OFF_MS + 1}, ["b"], id="one of two"),
        pytest.param({"b": YEAR_2106_MS, "c": 0, "d": 0}, ["b"], id="one of many: the year 2106"),
        pytest.param({"b": 2**64 - 1 - NOON_MS}, ["b"], id="the largest number"),
        pytest.param({"b": OFF_MS + 1, "c": OFF_MS + 1}, ["a"], id="both others: our own"),
        pytest.param({"b": 70_000, "c": 70_000, "d": 0}, ["a"], id="most of them: our own"),
        pytest.param({"b": 70_000, "c": 70_000, "d": 0, "e": 0}, ["b", "c"], id="half of them"),
        pytest.param({"a": YEAR_2106_MS}, [], id="what we wrote ourselves"),
        pytest.param({"z": YEAR_2106_MS}, [], id="one that does not live"),
    ],
)
def test_whose_clock_is_wrong(ahead_ms: dict[str, int], wrong: list[str]) -> None:
    found = faults(ahead_ms)
    assert sorted(found) == wrong
    assert all("NTP" in text and "60 s" in text for text in found.values())


@pytest.mark.parametrize(("behind_ms", "wrong"), [(OFF_MS, []), (OFF_MS + 1, ["a"])])
def test_a_clock_behind_the_last_signature_is_wrong(behind_ms: int, wrong: list[str]) -> None:
    assert sorted(faults({}, signed_ms=NOON_MS + behind_ms)) == wrong


def test_what_was_said_counts_for_a_while_from_when_it_came() -> None:
    ahead = {"b": OFF_MS + 1}
    assert sorted(faults(ahead, after_ms=FRESH_MS)) == ["b"]
    assert faults(ahead, after_ms=FRESH_MS + 1) == {}


@pytest.mark.parametrize(
    ("looks", "late"),
    [
        pytest.param([((1, 2), (1, 2), 0), ((1, 2), (1, 2), 90_000)], False, id="in force"),
        pytest.param([((1, 3), (1, 2), 0), ((1, 3), (1, 2), 59_999)], False, id="not for long"),
        pytest.param([((1, 3), (1, 2), 0), ((1, 9), (1, 2), OUT_OF_SYNC_MS)], True, id="for long"),
        pytest.param([((1, 3), (1, 2), 0), ((1, 4), (1, 3), 60_000)], False, id="it goes on"),
        pytest.param(
            [((2, 1), (1, 9), 0), ((2, 1), (1, 9), 60_000), ((2, 1), (2, 1), 60_001)],
            False,
            id="no more",
        ),
    ],
)
def test_a_state_that_does_not_come_into_force(
    looks: list[tuple[tuple[int, int], tuple[int, int], int]], late: bool
) -> None:
    lag = Lag()
    for seen, applied, now_ms in looks:
        lag.look(seen, applied, now_ms)
    assert bool(lag.late) is late


def alarms(node: SimNode, kind: str) -> list[str]:
    return [alarm.subject for alarm in node.core.register.alarms if alarm.kind == kind]


def test_a_clock_that_is_wrong_is_an_alarm_until_it_is_set_right() -> None:
    site = Site(3).settle()
    starts = [list(node.starts) for node in site.nodes]
    wrong = site.nodes[0]
    wrong.wall_offset_ms = YEAR_2106_MS
    wrong.feed(DiskRoom(True))  # something to write in the journal
    site.world.run(5_000)
    said = {subject for node in site.nodes for subject in alarms(node, "Clock")}
    assert said == {wrong.name}
    wrong.wall_offset_ms = 0
    wrong.feed(DiskRoom(False))
    site.world.run(5_000)
    assert not any(alarms(node, "Clock") for node in site.nodes)
    assert [node.starts for node in site.nodes] == starts, "nothing else comes of it"


def test_a_disk_that_is_short_of_room_is_an_alarm_until_there_is_room() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    for short in (True, False, False):
        node.feed(DiskRoom(short))
        site.world.run(1_000)
        assert alarms(node, "Disk") == ["reserve"] * short


def test_a_state_whose_branches_do_not_come_is_an_alarm() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    site.publish(replicas=1, restarts=1)
    site.master.core.heads.branches.clear()
    site.world.run(OUT_OF_SYNC_MS - 1_000)
    assert alarms(node, "OutOfSync") == []
    site.world.run(5_000)
    assert alarms(node, "OutOfSync") == [node.name]
    site.publish(replicas=1, restarts=2)
    site.world.run(5_000)
    assert alarms(node, "OutOfSync") == []
    assert site.serving() == 1
