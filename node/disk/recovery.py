"""Opening a log after whatever happened to the disk: the good part stays, the rest is set aside.

A write that was cut short leaves a torn last frame; it was never reported as durable, and is cut
off. A frame that went bad later ends its log there: what lies behind it cannot be joined to what
is before it, so it is moved to the folder `.damaged`, for people, and the log's entries come again
from the neighbour that keeps copies, or from the node that wrote them.

Record logs are read whole; of a data log only the last segment, the others when they are used.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mesh.journals import RECORD, LogKey, Tail
from node.disk.errors import DiskError
from node.disk.files import Disk, make_durable_folder, write_new
from node.disk.frames import is_torn
from node.disk.segments import Segment, StoredLog

DAMAGED_FILES_MAX = 16
"""Kept for people, the newest. Worst case 32 MiB."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A log was cut after the entry `after`, or cannot be read beyond it.

    `torn`: the end of a write that was cut short, nothing that was ever reported as durable,
    unless the disk lost it.
    """

    key: LogKey
    after: int
    torn: bool


def open_log(
    disk: Disk, folder: Path, key: LogKey, damaged: Path
) -> tuple[StoredLog, list[Damage]]:
    """The log in `folder`, ending with a whole frame; and what was wrong with it.

    A log that the disk cannot read or cut comes back `broken`: to be read as far as it goes.
    """
    log = StoredLog(disk, folder, key)
    log.list_segments()
    damages: list[Damage] = []
    place = 0 if key.kind == RECORD else len(log.segments) - 1
    while 0 <= place < len(log.segments) and log.broken is None:
        damage = _check_segment(disk, log, place, damaged)
        if damage is not None:
            damages.append(damage)
        # A data log whose last segment held nothing whole ends in the one before.
        ends_before = place >= len(log.segments) and log.tail.sequence == 0
        place = len(log.segments) - 1 if ends_before else place + 1
    return log, damages


def _check_segment(disk: Disk, log: StoredLog, place: int, damaged: Path) -> Damage | None:
    """Reads the segment; moves the log's tail to its end, and ends the log where it is bad."""
    segment = log.segments[place]
    after = log.segments[place - 1].last if place else 0
    try:
        data, frames, end = log.load(segment, after)
    except DiskError as error:
        log.broken = error
        return Damage(log.key, after, torn=False)
    if frames:
        after = segment.last = frames[-1].last
        log.tail = Tail(after, frames[-1].digest)
    if frames and end == segment.size:
        return None
    whole_size = segment.size
    following = log.segments[place + 1 :]
    try:
        _cut(disk, log, place, data[end:], damaged)
    except DiskError as error:
        log.broken = error
    if end == whole_size:
        return None  # an empty file: a crash before its first frame
    return Damage(log.key, after, torn=not following and is_torn(data, end))


def _cut(disk: Disk, log: StoredLog, place: int, rest: bytes, damaged: Path) -> None:
    """Ends the log before the last `rest` of its segment `place`."""
    segment, following = log.segments[place], log.segments[place + 1 :]
    end = segment.size - len(rest) if rest else 0
    moved = following if end else [segment, *following]
    segment.size = end
    del log.segments[place + 1 if end else place :]
    with suppress(DiskError):  # a disk too full to keep it for people must not stop the start
        make_durable_folder(disk, damaged)
        if end:
            path = damaged / _aside_name(log.key, segment)
            disk.rename(write_new(disk, path, rest), path)
        for other in moved:
            disk.rename(other.path, damaged / _aside_name(log.key, other))
        for name in disk.names(damaged)[:-DAMAGED_FILES_MAX]:
            disk.unlink(damaged / name)
    for other in moved:
        disk.unlink(other.path)
    if end:
        with disk.opened(segment.path, writing=True) as handle:
            disk.truncate(segment.path, handle, end)
            disk.sync(segment.path, handle)
    disk.sync_folder(log.folder)


def _aside_name(key: LogKey, segment: Segment) -> str:
    """Sorted by age: the serial comes first."""
    boot = f"{key.counter}-{key.nonce.hex()}"
    return f"{segment.serial:012}-{key.node}-{boot}-{key.kind}-{segment.first}.bin"
