"""The store: all or nothing, compared before written, and refused where it is not ours."""

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from node.master.errors import Busy
from node.master.store import Expected, SqliteStore, StoreRefused, Write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_what_was_committed_is_there_after_a_reopening(path: Path) -> None:
    store = SqliteStore(path, "acme")
    store.commit([Write("t", "b", b"2"), Write("t", "a", b"1"), Write("u", "a", b"3")])
    store.close()
    store = SqliteStore(path, "acme")
    assert store.scan("t") == [("a", b"1"), ("b", b"2")]
    assert store.get("u", "a") == b"3"
    assert store.get("u", "b") is None
    store.commit([Write("t", "a", None)])
    assert store.scan("t") == [("b", b"2")]
    store.close()


def test_the_file_is_its_owners_alone(path: Path) -> None:
    SqliteStore(path, "acme").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "expected",
    [Expected("t", "a", b"2"), Expected("t", "a", None), Expected("t", "b", b"1")],
    ids=["another value", "it is there", "it is not there"],
)
def test_an_expectation_that_does_not_hold_writes_nothing(path: Path, expected: Expected) -> None:
    store = SqliteStore(path, "acme")
    store.commit([Write("t", "a", b"1")], [Expected("t", "a", None)])
    with pytest.raises(Busy, match="try again"):
        store.commit([Write("t", "c", b"3")], [Expected("t", "a", b"1"), expected])
    assert store.scan("t") == [("a", b"1")]
    store.close()


def test_a_commit_that_fails_half_way_writes_nothing(path: Path) -> None:
    store = SqliteStore(path, "acme")
    wrong: object = "no bytes"
    with pytest.raises(StoreRefused, match="SQLite says"):
        store.commit([Write("t", "a", b"1"), Write("t", "b", wrong)])  # type: ignore[arg-type]
    assert store.scan("t") == []
    store.commit([Write("t", "a", b"1")])
    store.close()


def test_of_writers_that_expect_the_same_one_wins(path: Path) -> None:
    store = SqliteStore(path, "acme")
    won: list[int] = []

    def write(number: int) -> None:
        try:
            store.commit([Write("t", "a", b"%d" % number)], [Expected("t", "a", None)])
            won.append(number)
        except Busy:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.scan("t") == [("a", b"%d" % won[0])]
    assert len(won) == 1
    store.close()


def refused(path: Path, message: str) -> None:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreRefused, match=message):
        SqliteStore(path, "acme")
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_store_of_another_mesh_is_refused(path: Path) -> None:
    SqliteStore(path, "other").close()
    refused(path, "belongs to the mesh 'other', not to 'acme'")


def test_a_store_of_a_newer_release_is_refused(path: Path) -> None:
    SqliteStore(path, "acme").close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused(path, "a newer release wrote it")


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE song (title TEXT)")
    connection.commit()
    connection.close()
    refused(path, "something else")


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)
    refused(path, "not a database")


def test_a_folder_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    refused(path, "Is a directory")


def test_a_damaged_file_is_refused(path: Path) -> None:
    store = SqliteStore(path, "acme")
    store.commit([Write("t", f"{number}", bytes(200)) for number in range(200)])
    store.close()
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    path.write_bytes(data)
    refused(path, "it is damaged|malformed")
