"""The journals of a peer on its disk: its own logs and copies of others', alike.

- A record is durable when `append` returns; data when `flush` does (a sync for a group).
- Entries lie in the order of their sequence, once. What the disk holds already is not written
  again.
- Records are never dropped. Data has a quota, for own logs and again for copies: beyond it the
  oldest segment goes, and `reports` counts what was in it.
- What is damaged is reported, set aside, and never handed on: see `recovery`.
- A log that the disk would not sync stops alone: whoever writes to it hears so, others go on.

Safe to use from several threads; calls wait for each other, and so for the disk.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesh.journals import DATA, RECORD, Batch, LogKey, Tail
from node.disk.errors import DiskError
from node.disk.files import Disk
from node.disk.recovery import Damage, open_log
from node.disk.segments import SEGMENT_BYTES_MAX, Segment, StoredLog, log_folder, log_key

_DAMAGED = ".damaged"  # no node can have this name
_SEGMENTS_A_QUOTA = 8


@dataclass(frozen=True, slots=True)
class Dropped:
    """Data entries `first` to `last` went under the quota. `gone`: nothing of the log is left."""

    key: LogKey
    first: int
    last: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Unsynced:
    """The disk would not make the end of the log durable; the log stands still until a restart."""

    key: LogKey
    detail: str


Report = Damage | Dropped | Unsynced


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on the disk."""

    records: int
    own_data: int
    copied_data: int


class JournalStore:
    """The logs below one folder, which exists. `own` is this node; `quota_bytes` is for data."""

    def __init__(
        self, folder: Path, quota_bytes: int, own: str = "", disk: Disk | None = None
    ) -> None:
        """Opens all logs, and cuts off what is torn or damaged. Raises DiskFull, DiskFailed."""
        self._folder = folder
        self._quota_bytes = quota_bytes
        self._segment_bytes = min(SEGMENT_BYTES_MAX, max(quota_bytes // _SEGMENTS_A_QUOTA, 1))
        self._own = own
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._logs: dict[LogKey, StoredLog] = {}
        self._data_bytes = {True: 0, False: 0}  # by whether it is this node's own
        self._unsynced: dict[LogKey, list[Batch]] = {}
        self._reports: list[Report] = []
        self._serial = 0
        for node in self._disk.names(folder):
            self._open_node(node)

    def append(self, batches: Iterable[Batch]) -> list[Batch]:
        """Writes batches, in each log in order, and gives those that are durable now: all
        records, and whatever was on the disk before. Data follows with `flush`.

        Raises DiskFull, DiskFailed: some of the batches may have been written. Give them again
        later; those that are there are not written twice.
        """
        given = list(batches)
        records = {batch.key for batch in given if batch.key.kind == RECORD}
        refused: dict[LogKey, DiskError] = {}
        with self._lock:
            try:
                for batch in given:
                    log = self._log(batch.key)
                    if batch.last > log.tail.sequence:
                        self._write(log, batch)
            finally:
                _, refused = self._sync(records)
            self._check({batch.key for batch in given}, refused)
            return [batch for batch in given if batch not in self._unsynced.get(batch.key, ())]

    def flush(self, keys: Iterable[LogKey] = ()) -> list[Batch]:
        """Makes all that was appended durable, and gives what was not so before.

        Raises DiskFull, DiskFailed if one of the logs `keys` is not durable; of other logs
        `reports` tells. What could be synced is durable all the same.
        """
        asked = set(keys)
        with self._lock:
            done, refused = self._sync(set(self._unsynced))
            for key in sorted(refused.keys() - asked):
                self._report(Unsynced(key, str(refused[key])))
            self._check(asked, refused)
            return done

    def tails(self) -> dict[LogKey, Tail]:
        """Where each log ends. At the start all of it is durable."""
        with self._lock:
            return {key: self._logs[key].tail for key in sorted(self._logs)}

    def segments(self) -> dict[LogKey, list[tuple[int, int]]]:
        """Of each log's segments, oldest first, the last sequence and the bytes."""
        with self._lock:
            return {
                key: [(segment.last, segment.size) for segment in log.segments]
                for key, log in self._logs.items()
            }

    def read(self, key: LogKey, after: int, bytes_max: int) -> list[bytes]:
        """Envelopes of the batches with entries beyond the sequence `after`, in order.

        As many as fit `bytes_max`, at least one if there is any. Raises DiskFailed.
        """
        found: list[bytes] = []
        size = 0
        with self._lock:
            log = self._logs.get(key)
            for item in log.envelopes(after) if log is not None else ():
                if isinstance(item, int):
                    self._report(Damage(key, item, torn=False))
                    continue
                size += len(item)
                if found and size > bytes_max:
                    break
                found.append(item)
        return found

    def trim(self, key: LogKey, up_to: int) -> int | None:
        """Removes whole segments that have only entries up to this sequence, oldest first.

        Gives the first entry that is left, or None where nothing of the log is.
        """
        with self._lock:
            log = self._logs.get(key)
            while log is not None and log.segments and log.segments[0].last <= up_to:
                self._drop_oldest(log)
            return self._logs[key].segments[0].first if key in self._logs else None

    def sizes(self) -> Sizes:
        """How much lies on the disk."""
        with self._lock:
            records = sum(log.size for key, log in self._logs.items() if key.kind == RECORD)
            return Sizes(records, self._data_bytes[True], self._data_bytes[False])

    def reports(self) -> list[Report]:
        """What was damaged, dropped or not synced since the last call, each once."""
        with self._lock:
            reports, self._reports = self._reports, []
            return reports

    # ---- inside, with the lock held --------------------------------------------------------

    def _open_node(self, node: str) -> None:
        for name in self._disk.names(self._folder / node):
            key = log_key(node, name)
            if key is None:
                continue
            damaged = self._folder / _DAMAGED
            log, damages = open_log(self._disk, self._folder / node / name, key, damaged)
            self._reports += damages
            if log.segments:
                self._logs[key] = log
                self._serial = max(self._serial, *(part.serial for part in log.segments))
                self._count(key, log.size)

    def _log(self, key: LogKey) -> StoredLog:
        if key not in self._logs:
            return StoredLog(self._disk, log_folder(self._folder, key), key)
        return self._logs[key]

    def _write(self, log: StoredLog, batch: Batch) -> None:
        """Appends the batch; the segment that it leaves behind, if any, is synced first."""
        before = log.segments[-1] if log.segments else None
        if before is not None and before.size >= self._segment_bytes:
            log.sync(before)
        size = log.size
        segment = log.append(batch, self._serial + 1, self._segment_bytes)
        self._logs[batch.key] = log
        self._serial = max(self._serial, segment.serial)
        self._count(batch.key, log.size - size)
        self._unsynced.setdefault(batch.key, []).append(batch)
        if batch.key.kind == DATA:
            self._keep_quota(batch.key.node == self._own, segment)

    def _sync(self, keys: set[LogKey]) -> tuple[list[Batch], dict[LogKey, DiskError]]:
        """Syncs what these logs have unsynced: always in their last segment.

        Gives what is durable now, and the logs that the disk refused: broken, and not tried again.
        """
        done: list[Batch] = []
        refused: dict[LogKey, DiskError] = {}
        for key in sorted(keys & self._unsynced.keys()):
            log = self._logs[key]
            try:
                log.check()
                log.sync(log.segments[-1])
                done += self._unsynced[key]
            except DiskError as error:
                refused[key] = error
            del self._unsynced[key]
        return done, refused

    def _check(self, keys: set[LogKey], refused: dict[LogKey, DiskError]) -> None:
        """Raises the error of the first of these logs that was refused, now or earlier."""
        for key in sorted(keys):
            if key in refused:
                raise refused[key]
            if key in self._logs:
                self._logs[key].check()

    def _keep_quota(self, own: bool, writing: Segment) -> None:
        while self._data_bytes[own] > self._quota_bytes:
            log = self._with_oldest(own)
            if log.segments[0] is writing:
                return
            key, ends = log.key, log.segments[0]
            self._drop_oldest(log)
            self._report(Dropped(key, ends.first, ends.last, gone=key not in self._logs))

    def _with_oldest(self, own: bool) -> StoredLog:
        """Of the node with the most data, so that who floods its neighbours loses its own."""
        of_node: dict[str, list[StoredLog]] = {}
        for key, log in self._logs.items():
            if key.kind == DATA and (key.node == self._own) == own:
                of_node.setdefault(key.node, []).append(log)
        most = max(of_node.values(), key=lambda logs: sum(log.size for log in logs))
        return min(most, key=lambda log: log.segments[0].serial)

    def _drop_oldest(self, log: StoredLog) -> None:
        self._count(log.key, -log.drop_oldest().size)
        if not log.segments:
            log.remove_folder()
            del self._logs[log.key]
            self._unsynced.pop(log.key, None)

    def _count(self, key: LogKey, more: int) -> None:
        if key.kind == DATA:
            self._data_bytes[key.node == self._own] += more

    def _report(self, report: Report) -> None:
        if report not in self._reports:
            self._reports.append(report)
