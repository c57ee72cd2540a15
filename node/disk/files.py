"""The seam through which every durable step goes: open, write, sync, rename, sync of a folder.

Production uses the operating system. A test gives another `Disk`, which stops before or after any
step, loses what was not synced, or answers "full". Offsets and lengths are in bytes; handles are
plain numbers. Errors are DiskFull, DiskFailed, or FileNotFoundError.

Safe to use from several threads. No symbolic link is followed at a path's last part.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.disk.errors import told_by_place

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW


class Disk:
    """The operating system's files."""

    def make_folder(self, path: Path) -> None:
        """Makes the folder and what is missing above it, for this user alone; not yet durable."""
        with told_by_place(path):
            path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        """What lies in the folder, sorted; nothing where there is no folder."""
        with told_by_place(folder):
            try:
                return sorted(os.listdir(folder))
            except FileNotFoundError:
                return []

    def size_at(self, path: Path) -> int | None:
        """Length of the regular file, None where there is none."""
        with told_by_place(path):
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None

    def create(self, path: Path) -> int:
        """Opens an empty file for reading and writing; what was there is gone."""
        with told_by_place(path):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | _ALWAYS, _FILE_MODE)

    def open(self, path: Path, *, writing: bool = False) -> int:
        """Opens a file that exists."""
        with told_by_place(path):
            return os.open(path, (os.O_RDWR if writing else os.O_RDONLY) | _ALWAYS)

    def close(self, handle: int) -> None:
        """Closes; says nothing about durability."""
        os.close(handle)

    def size(self, handle: int) -> int:
        """Length of the open file."""
        return os.fstat(handle).st_size

    def read(self, path: Path, handle: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes; fewer only at the file's end."""
        parts: list[bytes] = []
        with told_by_place(path):
            while length > 0:
                part = os.pread(handle, length, offset)
                if not part:
                    break
                parts.append(part)
                offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def write(self, path: Path, handle: int, data: bytes, offset: int) -> None:
        """All of `data`, or an error after some of it."""
        rest = memoryview(data)
        with told_by_place(path):
            while rest:
                written = os.pwrite(handle, rest, offset)
                rest, offset = rest[written:], offset + written

    def allocate(self, path: Path, handle: int, length: int) -> None:
        """Reserves room, so that later writes below `length` cannot find the disk full."""
        with told_by_place(path):
            os.posix_fallocate(handle, 0, length)

    def truncate(self, path: Path, handle: int, length: int) -> None:
        """Cuts the file, or extends it with zeros."""
        with told_by_place(path):
            os.ftruncate(handle, length)

    def sync(self, path: Path, handle: int) -> None:
        """Returns when the file's bytes and length survive a power cut."""
        with told_by_place(path):
            os.fdatasync(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Gives the file another name, at once, in place of what had it; not yet durable."""
        with told_by_place(new):
            os.rename(old, new)

    def unlink(self, path: Path) -> None:
        """Removes a file; nothing happens where there is none."""
        with told_by_place(path):
            path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Removes an empty folder; nothing happens where there is none."""
        with told_by_place(path):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                return

    def sync_folder(self, path: Path) -> None:
        """Returns when the names in the folder survive a power cut."""
        with told_by_place(path):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def free_bytes(self, path: Path) -> int:
        """Room that this user may still fill on the disk of `path`."""
        with told_by_place(path):
            status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    @contextmanager
    def opened(self, path: Path, *, writing: bool = False) -> Iterator[int]:
        """A handle on a file that exists, closed at the end."""
        handle = self.open(path, writing=writing)
        try:
            yield handle
        finally:
            self.close(handle)

    @contextmanager
    def created(self, path: Path) -> Iterator[int]:
        """A handle on a new, empty file, closed at the end."""
        handle = self.create(path)
        try:
            yield handle
        finally:
            self.close(handle)


def read_whole(disk: Disk, path: Path, bytes_max: int) -> bytes | None:
    """The file's bytes; None where there is no file, or one longer than `bytes_max`."""
    try:
        with disk.opened(path) as handle:
            length = disk.size(handle)
            return None if length > bytes_max else disk.read(path, handle, length, 0)
    except FileNotFoundError:
        return None


def make_durable_folder(disk: Disk, path: Path) -> None:
    """Makes one folder in a folder that exists; it survives a power cut."""
    disk.make_folder(path)
    disk.sync_folder(path.parent)


def replace_file(disk: Disk, path: Path, data: bytes) -> None:
    """Puts `data` at `path`, durably and at once: there is the old file or the new one.

    A file `path`.new may be left by a crash; the next call writes over it.
    """
    write_new(disk, path, data)
    disk.rename(_new(path), path)
    disk.sync_folder(path.parent)


def write_new(disk: Disk, path: Path, data: bytes) -> Path:
    """Writes `data` durably beside `path`, to be renamed; leaves nothing if the disk refuses."""
    new = _new(path)
    try:
        with disk.created(new) as handle:
            disk.write(new, handle, data, 0)
            disk.sync(new, handle)
    except Exception:
        disk.unlink(new)
        raise
    return new


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")
