"""What can be wrong with a disk, as three errors that tell a caller what to do.

`DiskFull`: nothing was kept of what was asked; free space, then try again. `DiskFailed`: the disk
or its rights are at fault; go on from memory and raise an alarm. `Damaged`: bytes are not what was
written; the place says which file, and the message how to go on.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskError(Exception):
    """The base of what a disk may refuse. `path` is where."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path


class DiskFull(DiskError):
    """No room. What was there before is unchanged."""


class DiskFailed(DiskError):
    """The disk did not do what it was asked (I/O error, read-only, no right)."""


class Damaged(DiskError):
    """What is on the disk is not what was written."""


@contextmanager
def told_by_place(path: Path) -> Iterator[None]:
    """Turns the operating system's errors into DiskFull and DiskFailed; FileNotFoundError stays."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error of ours that says what `error` means."""
    if error.errno in _FULL:
        return DiskFull(path, f"no room ({error.strerror}): free space or raise the quota")
    return DiskFailed(path, f"{error.strerror}: check the disk, its mount and the folder's rights")
