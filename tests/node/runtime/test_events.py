"""What watchers are told, and what is kept and counted for them."""

import asyncio

import pytest

from node.runtime.events import DATA, Backlog, Hub, TooManyWatchers
from node.runtime.limits import JOURNAL_BACKLOG_MAX, WATCHERS_MAX
from protos.runtime_pb2 import JournalItem, RuntimeEvent, RuntimeState


def hub() -> Hub:
    return Hub(lambda: RuntimeState(pid=7))


def item(event: str, kind: str = "record") -> JournalItem:
    return JournalItem(kind=kind, event=event)


async def take(hub_: Hub, count: int) -> list[RuntimeEvent]:
    events: list[RuntimeEvent] = []
    stream = hub_.watch()
    async for event in stream:
        events.append(event)
        if len(events) == count:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    return events


async def test_a_watch_begins_with_the_state() -> None:
    assert (await take(hub(), 1))[0].state.pid == 7


async def test_items_wait_for_the_first_watcher_and_go_to_one_only() -> None:
    watched = hub()
    watched.record("replica.died", "faces/0", cause="killed", pid="9")
    events = await take(watched, 2)
    assert events[1].journal.fields["pid"] == "9"
    assert events[1].journal.cause == "killed"
    watched.record("replica.started", "faces/0")
    assert (await take(watched, 2))[1].journal.event == "replica.started"


async def test_what_a_watcher_did_not_take_waits_for_the_next() -> None:
    watched = hub()
    stream = watched.watch()
    await anext(stream)
    watched.record("replica.died", "faces/0")
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await take(watched, 2))[1].journal.event == "replica.died"


async def test_many_changes_are_told_as_one_state() -> None:
    watched = hub()
    stream = watched.watch()
    await anext(stream)
    for _ in range(100):
        watched.state_changed()
    watched.record("after", "")
    assert (await anext(stream)).HasField("state")
    assert (await anext(stream)).journal.event == "after"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_there_are_so_many_watchers_and_no_more() -> None:
    watched = hub()
    streams = [watched.watch() for _ in range(WATCHERS_MAX)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(TooManyWatchers, match="close one"):
        await anext(watched.watch())
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_closing_ends_a_watch_that_waits() -> None:
    watched = hub()
    stream = watched.watch()
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    watched.close()
    assert await waiting is None


def test_beyond_the_cap_data_goes_first_and_is_counted() -> None:
    backlog = Backlog()
    backlog.add(item("first record"))
    backlog.add(item("detection", DATA))
    for _ in range(JOURNAL_BACKLOG_MAX):
        backlog.add(item("later"))
    dropped = backlog.take()
    assert dropped is not None
    assert dropped.event == "runtime.journal_dropped"
    assert dropped.fields["count"] == "2"
    remaining = []
    while (kept := backlog.take()) is not None:
        remaining.append(kept.event)
    assert remaining == ["later"] * JOURNAL_BACKLOG_MAX


async def test_beats_follow_the_state_and_silence_where_they_were_asked_for() -> None:
    watched = hub()
    stream = watched.watch(beat_s=0.01)
    kinds = [(await anext(stream)).WhichOneof("kind") for _ in range(3)]
    assert kinds == ["state", "beat", "beat"]
    watched.record("replica.died", "faces/0")
    kinds = [(await anext(stream)).WhichOneof("kind") for _ in range(2)]
    assert "journal" in kinds
    watched.close()
    assert [event.WhichOneof("kind") async for event in stream] in ([], ["beat"])
