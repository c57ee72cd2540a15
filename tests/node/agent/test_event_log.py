"""Journals read back for people: which entries, and never for ever."""

from pathlib import Path

import pytest

from mesh.journals.keys import RECORD, LogKey
from node.agent import event_log
from node.agent.event_log import events
from node.disk.files import Disk
from node.disk.journals import JournalStore
from tests.node.agent.stores import Writer, make_stores


def test_data_does_not_push_the_records_out(tmp_path: Path) -> None:
    store = make_stores(tmp_path, Disk()).journals
    record, data = Writer("a"), Writer("b", "data")
    store.append([record.batch("one"), *(data.batch("d") for _ in range(5))])
    assert [e["event"] for e in events(store, {}, limit=2)] == ["d", "d"]
    assert [e["event"] for e in events(store, {}, limit=2, kinds=(RECORD,))] == ["one"]


@pytest.mark.parametrize("limit", [3, 1000])
def test_the_limit_is_of_all_logs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(event_log, "ENTRIES_READ_MAX", 3)
    store = make_stores(tmp_path, Disk()).journals
    for node in ("a", "b", "c"):
        store.append([Writer(node).batch("one", "two")])
    found = [(e["node"], e["event"]) for e in events(store, {}, limit=limit)]
    assert found == [("b", "two"), ("c", "one"), ("c", "two")]


class Unreadable(JournalStore):
    """A store that goes on giving a batch which is none."""

    def read(self, key: LogKey, after: int, bytes_max: int) -> list[bytes]:
        return [b"\xff" * 9]


def test_a_batch_that_cannot_be_read_does_not_hold_the_reader(tmp_path: Path) -> None:
    store = Unreadable(tmp_path, 1 << 20)
    store.append([Writer("a").batch("one")])
    assert events(store, {}) == []
