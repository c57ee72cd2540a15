"""A disk in memory that stops at any step, loses what was not synced, flips bits and fills up."""

import errno
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

import pytest

from node.disk.blobs import BlobStore
from node.disk.errors import disk_error
from node.disk.files import Disk
from tests.node.disk import artifacts, logs


class Crash(BaseException):
    """The process, or the power, is gone. Nothing in the code under test may catch it."""


class _File:
    """A file's bytes as programs see them, and as a power cut would leave them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""


@dataclass(frozen=True)
class _Change:
    """A name that came, went or moved: atomic, as on every journalling file system."""

    old: Path | None
    new: Path | None
    file: _File | None

    def apply(self, names: dict[Path, _File | None]) -> None:
        if self.old is not None:
            names.pop(self.old, None)
        if self.new is not None:
            names[self.new] = self.file

    def within(self, folder: Path) -> bool:
        return any(path is not None and path.parent == folder for path in (self.old, self.new))


class FakeDisk(Disk):
    """Files in memory. Folders hold names; a name is durable once its folder was synced.

    `stop_at`: raise Crash at this step, counted from 1. `after`: when the step is done, not before.
    `room`: bytes that fit, None for no limit. `fail`: paths whose reading or writing fails.
    `read_only`: nothing can be changed. `claims_free`: what it says of its room, true or not.
    """

    def __init__(self) -> None:
        self.names_now: dict[Path, _File | None] = {Path("/"): None}  # None: a folder
        self.names_synced = dict(self.names_now)
        self.pending: list[_Change] = []
        self.handles: dict[int, _File] = {}
        self.numbers = itertools.count(3)
        self.steps = 0
        self.stop_at = 0
        self.after = False
        self.room: int | None = None
        self.fail: set[Path] = set()
        self.read_only = False
        self.claims_free: int | None = None

    # ---- faults ----------------------------------------------------------------------------

    @contextmanager
    def step(self) -> Iterator[None]:
        self.steps += 1
        if self.read_only:
            raise disk_error(Path("/"), OSError(errno.EROFS, "Read-only file system"))
        if self.steps == self.stop_at and not self.after:
            raise Crash
        yield
        if self.steps == self.stop_at:
            raise Crash

    def restart(self, stop_at: int = 0, after: bool = False) -> "FakeDisk":
        """The machine runs again; the next crash is set."""
        self.handles.clear()
        self.steps, self.stop_at, self.after = 0, stop_at, after
        return self

    def settle(self) -> None:
        """All that was done so far is durable."""
        self.names_synced, self.pending = dict(self.names_now), []
        for file in self.names_now.values():
            if file is not None:
                file.synced = bytes(file.data)

    def lose_power(self, choose: random.Random) -> None:
        """What was not synced is gone, or not: each change of a name, each file's new bytes."""
        names = self.names_synced
        for change in self.pending:
            if choose.random() < 0.5:
                change.apply(names)
        for path in sorted(names):
            if path.parent not in names:
                del names[path]  # its folder never reached the disk
        for file in {id(file): file for file in names.values() if file is not None}.values():
            keep = choose.choice(("synced", "all", "torn"))
            if keep == "synced":
                file.data = bytearray(file.synced)
            elif keep == "torn":
                file.data = bytearray(_torn(file.synced, bytes(file.data), choose))
        self.names_now = dict(names)
        self.settle()

    def _change(self, old: Path | None, new: Path | None, file: _File | None) -> None:
        change = _Change(old, new, file)
        change.apply(self.names_now)
        self.pending.append(change)

    def _check(self, path: Path) -> None:
        if path in self.fail:
            raise disk_error(path, OSError(errno.EIO, "Input/output error"))

    def _check_room(self, path: Path, file: _File, length: int) -> None:
        more = max(0, length - len(file.data))
        if self.room is not None and more > self._free():
            raise disk_error(path, OSError(errno.ENOSPC, "No space left on device"))

    # ---- the disk --------------------------------------------------------------------------

    def make_folder(self, path: Path) -> None:
        with self.step():
            for folder in [*reversed(path.parents), path]:
                if folder not in self.names_now:
                    self._change(None, folder, None)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self.names_now if path.parent == folder != path)

    def size_at(self, path: Path) -> int | None:
        file = self.names_now.get(path)
        return None if file is None else len(file.data)

    def create(self, path: Path) -> int:
        with self.step():
            if path.parent not in self.names_now:
                raise FileNotFoundError(path)
            self._check(path)
            file = self.names_now.get(path)
            if file is None:
                file = _File()
                self._change(None, path, file)
            file.data = bytearray()
            return self._handle(file)

    def open(self, path: Path, *, writing: bool = False) -> int:
        file = self.names_now.get(path)
        if file is None:
            raise FileNotFoundError(path)
        self._check(path)
        return self._handle(file)

    def _handle(self, file: _File) -> int:
        handle = next(self.numbers)
        self.handles[handle] = file
        return handle

    def close(self, handle: int) -> None:
        self.handles.pop(handle, None)

    def size(self, handle: int) -> int:
        return len(self.handles[handle].data)

    def read(self, path: Path, handle: int, length: int, offset: int) -> bytes:
        self._check(path)
        return bytes(self.handles[handle].data[offset : offset + length])

    def write(self, path: Path, handle: int, data: bytes, offset: int) -> None:
        with self.step():
            self._check(path)
            file = self.handles[handle]
            self._check_room(path, file, offset + len(data))
            if len(file.data) < offset:
                file.data.extend(bytes(offset - len(file.data)))
            file.data[offset : offset + len(data)] = data

    def allocate(self, path: Path, handle: int, length: int) -> None:
        self.truncate(path, handle, max(length, self.size(handle)))

    def truncate(self, path: Path, handle: int, length: int) -> None:
        with self.step():
            self._check(path)
            file = self.handles[handle]
            self._check_room(path, file, length)
            del file.data[length:]
            file.data.extend(bytes(length - len(file.data)))

    def sync(self, path: Path, handle: int) -> None:
        with self.step():
            self._check(path)
            self.handles[handle].synced = bytes(self.handles[handle].data)

    def rename(self, old: Path, new: Path) -> None:
        with self.step():
            self._check(old)
            if old not in self.names_now:
                raise FileNotFoundError(old)
            self._change(old, new, self.names_now[old])

    def unlink(self, path: Path) -> None:
        with self.step():
            if path in self.names_now:
                self._change(path, None, None)

    def remove_folder(self, path: Path) -> None:
        with self.step():
            if self.names(path):
                raise disk_error(path, OSError(errno.ENOTEMPTY, "Directory not empty"))
            if path in self.names_now:
                self._change(path, None, None)

    def sync_folder(self, path: Path) -> None:
        with self.step():
            self._check(path)
            if path not in self.names_now:
                raise FileNotFoundError(path)
            rest: list[_Change] = []
            for change in self.pending:
                if change.within(path):
                    change.apply(self.names_synced)
                else:
                    rest.append(change)
            self.pending = rest

    def free_bytes(self, path: Path) -> int:
        if self.claims_free is not None:
            return self.claims_free
        if self.room is None:
            return 1 << 60
        return self._free()

    def _free(self) -> int:
        files = {id(file): len(file.data) for file in self.names_now.values() if file is not None}
        return (self.room or 0) - sum(files.values())

    # ---- for tests -------------------------------------------------------------------------

    def data(self, path: Path) -> bytearray:
        """The bytes of a file, to be altered in place."""
        file = self.names_now[path]
        assert file is not None
        return file.data

    def files(self, folder: Path) -> list[PurePath]:
        """All files below the folder."""
        return sorted(
            path.relative_to(folder)
            for path, file in self.names_now.items()
            if file is not None and path.is_relative_to(folder)
        )


def _torn(synced: bytes, now: bytes, choose: random.Random) -> bytes:
    """Unsynced bytes reach the disk in part: some 512-byte blocks are there, the others old."""
    result = bytearray(now[: choose.randint(min(len(synced), len(now)), len(now))])
    for start in range(0, len(result), 512):
        if choose.random() < 0.5:
            old = synced[start : start + 512]
            block = result[start : start + 512]
            result[start : start + 512] = old[: len(block)].ljust(len(block), b"\0")
    return bytes(result)


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def store(disk: FakeDisk) -> BlobStore:
    """An empty store of blobs, in an empty folder."""
    disk.make_folder(artifacts.FOLDER)
    disk.settle()
    return artifacts.opened(disk)


@pytest.fixture
def folder(disk: FakeDisk) -> FakeDisk:
    """A disk with an empty folder of journals."""
    disk.make_folder(logs.FOLDER)
    disk.settle()
    return disk


Run = Callable[[FakeDisk], None]


@pytest.fixture
def crash_everywhere() -> Callable[[Run, Run, Run], int]:
    """`crash_everywhere(prepare, act, check)`: for each durable step of `act`, and for a process
    that dies before or after it as well as for three power cuts there, `prepare` a new disk, run
    `act` up to the crash, then `check` what a new process finds. Gives the number of steps."""

    def run(prepare: Run, act: Run, check: Run) -> int:
        whole = FakeDisk()
        prepare(whole)
        whole.settle()
        act(whole.restart())
        steps = whole.steps
        check(whole.restart())
        for step in range(1, steps + 1):
            for after in (False, True):
                for cut in (None, 1, 2, 3):
                    crashed = FakeDisk()
                    prepare(crashed)
                    crashed.settle()
                    with pytest.raises(Crash):
                        act(crashed.restart(step, after))
                    crashed.restart()
                    if cut is not None:
                        crashed.lose_power(random.Random(step * 10 + cut))
                    check(crashed)
        return steps

    return run
