"""Where a master keeps what must not be lost: a few tables of keys and values.

The protocol is as small as what etcd offers: read a key, read a table, and one transaction that
compares before it writes. So one process on SQLite and several over one etcd cluster run the same
code above it. Values are bytes; what they mean is the affair of `content`.

SQLite: a write-ahead log with synchronous=FULL, so that what `commit` returned from is on disk. The
file is checked whole when it is opened, and a file of another mesh or of a newer release is refused
before a byte of it is changed. A file of an older release is taken over, and that release refuses
it from then on: what it lacks, `content` reads as if nothing had been said.
"""

import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.master.errors import Busy

SCHEMA_VERSION = 3
"""Of the SQLite file. Raised with each change that an older release cannot read.

2: what operators hold is kept beside the resources. Who knows only 1 would leave it out of the next
plan, so that a pinned site would change its version.
3: delegations are kept. Who knows only 2 would leave them out of the next state, and the boxes that
were admitted by them would be shut out.
"""
APPLICATION_ID = 0x6D657368
"""`mesh` in ASCII: tells our file from any other SQLite file."""
BUSY_TIMEOUT_S = 5.0
"""How long a commit waits for another process (a backup) before it gives up."""

_CREATE = "CREATE TABLE item (area TEXT, name TEXT, value BLOB, PRIMARY KEY (area, name)) STRICT"


class StoreRefused(Exception):
    """The store's file cannot be used. It was not changed."""


@dataclass(frozen=True, slots=True)
class Write:
    """Puts `value` at `name` of `table`; None deletes what is there."""

    table: str
    name: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Expected:
    """A commit holds only if `name` of `table` still has `value`; None: if it is not there."""

    table: str
    name: str
    value: bytes | None


class Store(Protocol):
    """Tables of keys and values. All methods may be called from any thread."""

    def get(self, table: str, name: str) -> bytes | None:
        """The value of `name` in `table`, or None."""
        ...

    def scan(self, table: str) -> list[tuple[str, bytes]]:
        """All names of `table` and their values, by name."""
        ...

    def commit(self, writes: Sequence[Write], expected: Sequence[Expected] = ()) -> None:
        """Does all of `writes`, durably, or none. Raises Busy if an expectation does not hold."""
        ...

    def close(self) -> None:
        """Lets go of the store."""
        ...


class SqliteStore:
    """A store in one SQLite file, for one process. Raises StoreRefused if it cannot be used."""

    def __init__(self, path: Path, mesh: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = self._open(mesh)
        except sqlite3.Error as error:
            raise self._refused(f"SQLite says: {error}", "restore it from a backup") from None
        except OSError as error:
            raise self._refused(str(error.strerror), "make its folder writable") from None

    def get(self, table: str, name: str) -> bytes | None:
        """The value of `name` in `table`, or None."""
        query = "SELECT value FROM item WHERE area = ? AND name = ?"
        with self._lock:
            row = self._connection.execute(query, (table, name)).fetchone()
        return None if row is None else bytes(row[0])

    def scan(self, table: str) -> list[tuple[str, bytes]]:
        """All names of `table` and their values, by name."""
        query = "SELECT name, value FROM item WHERE area = ? ORDER BY name"
        with self._lock:
            rows = self._connection.execute(query, (table,)).fetchall()
        return [(str(name), bytes(value)) for name, value in rows]

    def commit(self, writes: Sequence[Write], expected: Sequence[Expected] = ()) -> None:
        """Does all of `writes`, durably, or none.

        Raises Busy if an expectation does not hold, and StoreRefused if the disk does not take it.
        """
        with self._lock:
            try:
                self._commit(writes, expected)
            except sqlite3.Error as error:
                advice = "look at the disk's free space and health; then try again"
                raise self._refused(f"SQLite says: {error}", advice) from None

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._connection.close()

    def _commit(self, writes: Sequence[Write], expected: Sequence[Expected]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for one in expected:
                self._expect(one)
            for write in writes:
                self._write(write)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _expect(self, one: Expected) -> None:
        query = "SELECT value FROM item WHERE area = ? AND name = ?"
        row = self._connection.execute(query, (one.table, one.name)).fetchone()
        if (None if row is None else bytes(row[0])) != one.value:
            text = f"{one.table}/{one.name} was changed in between; nothing was done; try again"
            raise Busy(text)

    def _write(self, write: Write) -> None:
        if write.value is None:
            query = "DELETE FROM item WHERE area = ? AND name = ?"
            self._connection.execute(query, (write.table, write.name))
        else:
            query = "INSERT OR REPLACE INTO item (area, name, value) VALUES (?, ?, ?)"
            self._connection.execute(query, (write.table, write.name, write.value))

    def _open(self, mesh: str) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            is_new = self._check(connection, mesh)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if is_new:
                self._create(connection, mesh)
            # Atomic, like every change of a file by SQLite. A file of this release stays as it is.
            if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, mesh: str) -> bool:
        """Whether the file is new. Raises StoreRefused if it is not ours, or damaged."""
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return True
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise self._refused("it is a database of something else", "name another folder")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            text = f"a newer release wrote it (format {version}, this reads {SCHEMA_VERSION})"
            raise self._refused(text, "run that release")
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise self._refused(f"it is damaged ({found})", "restore it from a backup")
        query = "SELECT value FROM item WHERE area = 'meta' AND name = 'mesh'"
        row = connection.execute(query).fetchone()
        owner = bytes(row[0]).decode(errors="replace") if row else "none"
        if owner != mesh:
            text = f"it belongs to the mesh {owner!r}, not to {mesh!r}"
            raise self._refused(text, "name the folder of this mesh's master")
        return False

    def _create(self, connection: sqlite3.Connection, mesh: str) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_CREATE)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        query = "INSERT INTO item (area, name, value) VALUES ('meta', 'mesh', ?)"
        connection.execute(query, (mesh.encode(),))
        connection.execute("COMMIT")

    def _refused(self, what: str, advice: str) -> StoreRefused:
        return StoreRefused(f"{self._path}: {what}; nothing was changed; {advice}")
