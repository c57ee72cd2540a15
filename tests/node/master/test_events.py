"""The master's own events: numbered, kept with the change that they tell of, the newest."""

from pathlib import Path

import pytest

from node.master.errors import Busy
from node.master.events import EVENTS_MAX, EventBook, Told
from node.master.store import Expected, SqliteStore
from tests.node.master.fleet import START_MS, Clock


@pytest.fixture
def store(tmp_path: Path):
    store = SqliteStore(tmp_path / "store.sqlite", "acme")
    yield store
    store.close()


def test_events_are_numbered_from_one_and_read_back_as_they_were_told(store: SqliteStore) -> None:
    book = EventBook(store, Clock(), str)
    store.commit(book.writes(Told("a", "faces", "why", ["north"], {"x": "1"}), Told("b", "y", "")))
    store.commit(book.writes(Told("c", "faces", "")))
    first, second, third = book.all()
    assert (first.sequence, second.sequence, third.sequence) == (1, 2, 3)
    assert (first.event, first.subject, first.cause) == ("a", "faces", "why")
    assert (first.sites, first.fields, first.unix_ms) == (["north"], {"x": "1"}, START_MS)
    assert (second.sites, second.fields) == ([], {})


def test_an_event_names_who_asks_or_who_asked_for_it_before(store: SqliteStore) -> None:
    asking = iter(["ann", "", "ann"])
    book = EventBook(store, Clock(), lambda: next(asking))
    store.commit(
        book.writes(Told("a", "x", ""), Told("b", "x", ""), Told("c", "x", "", (), {"y": "1"}))
    )
    store.commit(book.writes(Told("d", "x", "", operator="bob")))
    assert [one.fields for one in book.all()] == [
        {"operator": "ann"},
        {},
        {"operator": "ann", "y": "1"},
        {"operator": "bob"},
    ]


def test_a_commit_that_is_refused_leaves_no_event(store: SqliteStore) -> None:
    book = EventBook(store, Clock(), str)
    with pytest.raises(Busy):
        store.commit(book.writes(Told("a", "faces", "")), [Expected("head", "revision", b"1")])
    assert book.all() == []


def test_the_newest_are_kept_and_their_numbers_tell_how_many_went(store: SqliteStore) -> None:
    book = EventBook(store, Clock(), str)
    store.commit(book.writes(*(Told("a", str(n), "") for n in range(EVENTS_MAX))))
    store.commit(book.writes(Told("b", "last", ""), Told("c", "very last", "")))
    kept = book.all()
    assert (len(kept), kept[0].sequence, kept[-1].sequence) == (EVENTS_MAX, 3, EVENTS_MAX + 2)
    assert [one.event for one in kept[-2:]] == ["b", "c"]
