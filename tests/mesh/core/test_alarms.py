"""Alarms: how often each was set, what it says now, and what is left out where there are many."""

from mesh.core.alarms import (
    CONTINUES_MS,
    COUNTED_MAX,
    KEPT_MAX,
    MESSAGE_CHARACTERS_MAX,
    Alarms,
)
from mesh.core.view import CONTENT_BYTES_MAX, register_content
from mesh.events import WriteJournal
from protos.troubles_pb2 import KeptTroubles
from tests.sim.site import Site


def test_how_often_a_condition_was_set_is_counted() -> None:
    alarms = Alarms()
    for at in (1, 2, 3):
        (entry,) = alarms.set("Disk", "a", "full", "critical", at)
        assert isinstance(entry, WriteJournal)
        assert entry.fields == {"kind": "Disk", "severity": "critical", "count": str(at)}
        assert [(a.count, a.since_unix_ms) for a in alarms.states()] == [(at, at)]
        assert len(alarms.clear("Disk", "a", "room again")) == 1
    alarms.set("Disk", "b", "full", "critical", 9)
    assert [a.count for a in alarms.states()] == [1]


def test_only_so_many_counts_are_remembered_the_latest() -> None:
    alarms = Alarms()
    for number in range(COUNTED_MAX + 1):
        alarms.set("Offline", str(number), "gone", "critical", 1)
        alarms.clear("Offline", str(number), "back")
    for subject, count in (("0", 1), (str(COUNTED_MAX), 2)):
        alarms.set("Offline", subject, "gone", "critical", 1)
        assert {a.subject: a.count for a in alarms.states()}[subject] == count


def test_an_active_alarm_says_what_is_so_now_and_is_no_new_one() -> None:
    alarms = Alarms()
    alarms.update("Pending", {"faces": "2 of 3"}, "warning", 1)
    generation = alarms.generation
    assert alarms.update("Pending", {"faces": "2 of 3"}, "warning", 2) == []
    assert alarms.generation == generation
    assert alarms.update("Pending", {"faces": "1 of 3"}, "warning", 2) == []
    assert alarms.generation > generation
    assert [(a.message, a.count, a.since_unix_ms) for a in alarms.states()] == [("1 of 3", 1, 1)]


def test_a_message_is_cut_in_the_list_and_whole_in_the_journal() -> None:
    alarms = Alarms()
    text = "x" * (MESSAGE_CHARACTERS_MAX + 1)
    (entry,) = alarms.update("Refused", {"faces": text}, "critical", 1)
    assert isinstance(entry, WriteJournal)
    assert entry.cause == text
    assert [len(a.message) for a in alarms.states()] == [MESSAGE_CHARACTERS_MAX]


def test_where_there_are_many_the_critical_ones_stay_and_the_rest_is_counted() -> None:
    site = Site(1)
    site.nodes[0].boot()
    core = site.nodes[0].core
    for number in range(100):
        core.alarms.set("Pending", f"{number:03}", "m" * 300, "warning", 1)
    core.alarms.set("Zeroth", "node", "the worst", "critical", 1)
    content = register_content(core)
    assert content.ByteSize() <= CONTENT_BYTES_MAX
    kept = [alarm for alarm in content.alarms if alarm.kind != "More"]
    assert kept[0].kind == "Zeroth"
    assert content.alarms[-1].count == 101 - len(kept)


def again(alarms: Alarms, now_ms: int = 0) -> Alarms:
    """After a restart of the agent."""
    active, counted = alarms.kept()
    return Alarms(KeptTroubles(active=active, counted=counted), now_ms)


def test_what_lasts_over_a_restart_is_the_same_alarm() -> None:
    alarms = Alarms()
    for at in (1, 2):
        alarms.clear("Disk", "a", "room again")
        alarms.set("Disk", "a", "full", "critical", at)
    alarms = again(again(alarms))
    assert alarms.states() == []
    assert alarms.set("Disk", "a", "still full", "critical", 9) == [], "the journal has it"
    (state,) = alarms.states()
    assert (state.since_unix_ms, state.count, state.message) == (2, 2, "still full")
    assert alarms.tick(CONTINUES_MS) == []
    alarms.clear("Disk", "a", "room again")
    alarms.set("Disk", "a", "full", "critical", 10)
    assert [(a.since_unix_ms, a.count) for a in alarms.states()] == [(10, 3)]


def test_what_does_not_come_again_after_a_restart_has_ended() -> None:
    alarms = Alarms()
    alarms.set("Disk", "a", "full", "critical", 1)
    alarms = again(alarms, now_ms=5)
    assert alarms.tick(5 + CONTINUES_MS - 1) == []
    (entry,) = alarms.tick(5 + CONTINUES_MS)
    assert isinstance(entry, WriteJournal)
    assert (entry.event, entry.subject, entry.fields) == ("alarm.cleared", "a", {"kind": "Disk"})
    assert alarms.kept()[0] == []
    (entry,) = alarms.set("Disk", "a", "full", "critical", 99)
    assert isinstance(entry, WriteJournal)
    assert entry.fields["count"] == "2", "it is another one, and has been there before"


def test_what_is_over_at_once_after_a_restart_is_told_and_so_is_its_return() -> None:
    alarms = Alarms()
    alarms.set("Runtime", "runtime", "no answer", "critical", 1)
    alarms = again(alarms)
    (entry,) = alarms.clear("Runtime", "runtime", "it is over")
    assert isinstance(entry, WriteJournal)
    assert entry.event == "alarm.cleared"
    assert alarms.kept()[0] == []
    assert alarms.clear("Runtime", "runtime", "it is over") == []
    (entry,) = alarms.set("Runtime", "runtime", "another fault", "critical", 9)
    assert isinstance(entry, WriteJournal)
    assert entry.fields["count"] == "2"
    assert [(a.since_unix_ms, a.count) for a in alarms.states()] == [(9, 2)]
    assert alarms.tick(CONTINUES_MS) == []


def test_what_is_kept_of_many_is_bounded_and_of_counts_the_latest() -> None:
    alarms = Alarms()
    for number in range(KEPT_MAX + 1):
        alarms.set("Offline", f"{number:03}", "gone", "critical", 1)
    active, counted = alarms.kept()
    assert len(active) == len(counted) == KEPT_MAX
    assert counted[-1].subject == f"{KEPT_MAX:03}"
