"""One log on the disk: a folder of segment files, each a run of frames, only ever appended to.

A segment is named FIRST-SERIAL.seg: the sequence it begins with, and a number that grows over all
logs of a store, so that the oldest segment is known without a clock. A new segment is begun when
the last one is full; whole segments are what is trimmed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.journals import Batch, LogKey, LogNameRefused, Tail
from node.disk.errors import DiskError, DiskFailed
from node.disk.files import Disk, make_durable_folder, read_whole
from node.disk.frames import Frame, encode_frame, scan_frames
from protos.documents_pb2 import Boot, LogName

SEGMENT_BYTES_MAX = 1024 * 1024
"""Beyond this a new segment begins: what one read costs, and the grain of trimming."""

FILE_BYTES_MAX = 2 * SEGMENT_BYTES_MAX
"""No segment that we wrote is longer: a full one plus one batch. Longer ones are not read."""

_SEGMENT = re.compile(r"(\d{20})-(\d{12})\.seg")
_LOG = re.compile(r"(\d{20})-([0-9a-f]{16})-(record|data)")


@dataclass(slots=True)
class Segment:
    """A segment file. `last` is of its last entry, or, where it was not read, not below that."""

    path: Path
    first: int
    serial: int
    size: int
    last: int


def log_folder(store: Path, key: LogKey) -> Path:
    """Where the log lies. Raises LogNameRefused for a key that no message could carry."""
    LogKey.from_name(key.name())
    return store / key.node / f"{key.counter:020}-{key.nonce.hex()}-{key.kind}"


def log_key(node: str, folder_name: str) -> LogKey | None:
    """The log that lies in the folder of this name, None if it is none of ours."""
    match = _LOG.fullmatch(folder_name)
    if match is None:
        return None
    boot = Boot(counter=int(match[1]) % 2**64, nonce=bytes.fromhex(match[2]))
    try:
        return LogKey.from_name(LogName(node=node, boot=boot, kind=match[3]))
    except LogNameRefused:
        return None


class StoredLog:
    """The segments of one log, oldest first. Not safe to use from several threads."""

    def __init__(self, disk: Disk, folder: Path, key: LogKey) -> None:
        self.key = key
        self.folder = folder
        self.segments: list[Segment] = []
        self.tail = Tail(0, b"")
        self.broken: DiskError | None = None
        self._disk = disk

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.size for segment in self.segments)

    def list_segments(self) -> None:
        """Finds the segment files by their names, without reading them."""
        self.segments = []
        for name in self._disk.names(self.folder):
            match = _SEGMENT.fullmatch(name)
            size = self._disk.size_at(self.folder / name)
            if match is not None and size is not None:
                first, serial = int(match[1]), int(match[2])
                self.segments.append(Segment(self.folder / name, first, serial, size, first))
        for segment, following in zip(self.segments, self.segments[1:], strict=False):
            segment.last = following.first - 1

    def load(self, segment: Segment, after: int) -> tuple[bytes, list[Frame], int]:
        """The segment's bytes, its whole frames beyond `after`, and where they end."""
        data = read_whole(self._disk, segment.path, FILE_BYTES_MAX) or b""
        return data, *scan_frames(data, after)

    def append(self, batch: Batch, serial: int, segment_bytes: int) -> Segment:
        """Writes the batch behind the last one, not yet synced; gives the segment that it is in.

        `serial` is for a new segment, if one is begun. Raises DiskFull or DiskFailed: the log is
        then as it was.
        """
        self.check()
        if not self.segments or self.segments[-1].size >= segment_bytes:
            self._begin(batch.first, serial)
        segment, frame = self.segments[-1], encode_frame(batch)
        with self._disk.opened(segment.path, writing=True) as handle:
            try:
                self._disk.write(segment.path, handle, frame, segment.size)
            except DiskError:
                self._cut_back(segment, handle)
                raise
        segment.size += len(frame)
        segment.last = batch.last
        self.tail = Tail(batch.last, batch.digest)
        return segment

    def sync(self, segment: Segment) -> None:
        """Makes the segment's bytes durable.

        If the disk refuses, nobody knows which bytes it kept: no more is appended to the log
        until it was opened, and so checked, again.
        """
        try:
            with self._disk.opened(segment.path, writing=True) as handle:
                self._disk.sync(segment.path, handle)
        except DiskError as error:
            self.broken = error
            raise

    def check(self) -> None:
        """Raises DiskFailed if an earlier write of this log ended in doubt."""
        if self.broken is not None:
            raise DiskFailed(
                self.folder,
                f"an earlier write failed ({self.broken}); once the disk is well, restart the "
                "daemon, which checks the log",
            )

    def drop_oldest(self) -> Segment:
        """Removes the oldest segment."""
        segment = self.segments[0]
        self._disk.unlink(segment.path)
        del self.segments[0]
        return segment

    def remove_folder(self) -> None:
        """Removes the log's empty folder, durably."""
        self._disk.remove_folder(self.folder)
        self._disk.sync_folder(self.folder.parent)

    def envelopes(self, after: int) -> Iterator[bytes | int]:
        """Batches with entries beyond `after`, in order, read segment by segment.

        Where a segment turns out to be damaged, the last whole sequence before that is yielded
        instead; a data log goes on with the next segment, a record log ends there.
        """
        for segment in list(self.segments):
            if segment.last <= after:
                continue
            data, frames, end = self.load(segment, segment.first - 1)
            for frame in frames:
                if frame.last > after:
                    yield data[frame.start : frame.end]
            if end < segment.size:
                yield frames[-1].last if frames else segment.first - 1
                if self.key.kind == "record":
                    return

    def _begin(self, first: int, serial: int) -> None:
        if not self.segments:
            make_durable_folder(self._disk, self.folder.parent)
            make_durable_folder(self._disk, self.folder)
        path = self.folder / f"{first:020}-{serial:012}.seg"
        self._disk.close(self._disk.create(path))
        self._disk.sync_folder(self.folder)
        self.segments.append(Segment(path, first, serial, 0, first - 1))

    def _cut_back(self, segment: Segment, handle: int) -> None:
        """Takes back what a failed write may have left."""
        try:
            self._disk.truncate(segment.path, handle, segment.size)
        except DiskError as error:
            self.broken = error
