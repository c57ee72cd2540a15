"""Alarms for people: each once, whoever says it, and no liar writes on a terminal."""

import pytest

from mesh.core.lag import OUT_OF_SYNC_MS
from node.agent.alarm_documents import (
    NAME_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    Document,
    count_now,
    merged_alarms,
)
from node.agent.fleet_alarms import Fleet, fleet_alarms
from node.master.outages import LinkChange
from node.master.records import AlarmRecord
from protos.documents_pb2 import AlarmState, StableRegister


def says(
    node: str, since: int = 5, applied: int = 7, goes_by: int | None = None, **alarm: object
) -> StableRegister:
    values = {"kind": "Offline", "subject": "z", "severity": "critical", "message": "gone", **alarm}
    state = AlarmState(since_unix_ms=since, **values)  # type: ignore[arg-type]
    counters = {"applied_counter": applied, "in_force_counter": goes_by}
    return StableRegister(node=node, site="north", alarms=[state], **counters)


def test_the_same_condition_seen_by_several_is_one_alarm() -> None:
    (found,) = merged_alarms([says("a", 9, count=4), says("b", 5)], {"a", "b"})
    assert found == {
        "site": "north",
        "node": "b",
        "kind": "Offline",
        "subject": "z",
        "severity": "critical",
        "since": 5,
        "count": 1,
        "heard": "now",
        "message": "gone",
    }


def test_one_of_three_that_lies_is_not_shown_for_the_others() -> None:
    liar = {"message": "all is well", "severity": "warning"}
    for since in (0, 2**64 - 1):
        bodies = [says("a", 5), says("b", 6), says("c", since, **liar)]
        (found,) = merged_alarms(bodies, {"a", "b", "c"})
        assert found["message"] == "gone"


def test_what_is_heard_now_is_shown_before_what_is_known_from_earlier() -> None:
    old, new = says("a", 1, message="old"), says("b", 9)
    (found,) = merged_alarms([old, new], {"b"})
    assert (found["message"], found["heard"]) == ("gone", "now")
    (found,) = merged_alarms([old], {"b"})
    assert (found["message"], found["heard"]) == ("old", "last known")
    assert count_now([found]) == 0


@pytest.mark.parametrize(
    ("field", "text", "shown"),
    [
        ("message", "x" * 10_000, "x" * (TEXT_CHARACTERS_MAX - 3) + "..."),
        ("subject", "y" * 10_000, "y" * (NAME_CHARACTERS_MAX - 3) + "..."),
        ("message", "\x1b[2J\x07\r\n\x9b1A\u202eok", "\ufffd[2J" + "\ufffd" * 4 + "1A\ufffdok"),
        ("kind", "\x1b]0;owned\x07", "\ufffd]0;owned\ufffd"),
        ("severity", "\x1b[5m", "warning"),
        ("severity", "", "warning"),
    ],
)
def test_what_a_liar_writes_stays_on_its_line(field: str, text: str, shown: str) -> None:
    (found,) = merged_alarms([says("a", **{field: text})], {"a"})
    assert found[field] == shown


# ---- at a master ----


def fleet(*bodies: StableRegister, live: str = "ab") -> Fleet:
    return Fleet("m", frozenset(live), bodies, 7, 1_000)


def shown(found: list[Document]) -> list[tuple[str, str, str, str]]:
    return [(d["node"], d["kind"], d["subject"], d["heard"]) for d in found]


def test_a_masters_own_alarms_come_first_and_are_not_said_twice() -> None:
    joined = AlarmRecord("Clone", "z", "north", "another machine", "warning", 3)
    disk = AlarmState(kind="Disk", subject="reserve", severity="critical", count=2)
    bodies = [says("a", kind="Clone"), says("b")]
    found = fleet_alarms(fleet(*bodies), [joined], [disk], [], 1_000)
    assert shown(found) == [
        ("m", "Clone", "z", "now"),
        ("m", "Disk", "reserve", "now"),
        ("b", "Offline", "z", "now"),
    ]
    assert [one["count"] for one in found] == [1, 2, 1]


def test_a_site_that_is_not_reached_is_an_alarm_and_what_it_said_is_the_last_known() -> None:
    links = [LinkChange("north", 10, True), LinkChange("north", 20, False)]
    links += [LinkChange("south", 10, False), LinkChange("south", 30, True)]
    outage = {"kind": "Outage", "subject": "north"}
    bodies = [says("a"), says("b", 25, **outage)]
    found = fleet_alarms(fleet(*bodies, live=""), [], [], links, 1_000)
    assert shown(found) == [("m", "Outage", "north", "now"), ("a", "Offline", "z", "last known")]
    assert found[0]["since"] == 20


@pytest.mark.parametrize(
    ("applied", "live", "unix_ms", "late"),
    [
        (6, "a", 1_000 + OUT_OF_SYNC_MS, True),
        (6, "a", 999 + OUT_OF_SYNC_MS, False),
        (7, "a", 1_000 + OUT_OF_SYNC_MS, False),
        (6, "", 1_000 + OUT_OF_SYNC_MS, False),
    ],
    ids=["for long", "not for long", "in force", "not reached"],
)
def test_a_node_that_does_not_follow(applied: int, live: str, unix_ms: int, late: bool) -> None:
    found = fleet_alarms(fleet(says("a", applied=applied), live=live), [], [], [], unix_ms)
    assert [d["subject"] for d in found if d["kind"] == "OutOfSync"] == ["a"] * late


def test_a_node_that_applied_a_state_and_refused_what_it_says_is_behind() -> None:
    found = fleet_alarms(
        fleet(says("a", applied=7, goes_by=6), says("b", applied=7, goes_by=7), live="ab"),
        [],
        [],
        [],
        1_000 + OUT_OF_SYNC_MS,
    )
    (late,) = [one for one in found if one["kind"] == "OutOfSync"]
    assert late["subject"] == "a"
    assert late["message"].startswith("state 6 is in force there, not 7")
