"""Journals and everything that breaks: power cuts, torn ends, flips, a disk that fills or fails."""

import itertools
import random
from pathlib import Path

import pytest

from mesh.journals import LogKey, Tail
from node.disk.errors import DiskFailed, DiskFull
from node.disk.journals import Sizes, Unsynced
from node.disk.recovery import DAMAGED_FILES_MAX, Damage
from tests.node.disk.logs import (
    COPIED,
    DATA,
    FOLDER,
    RECORDS,
    envelopes,
    frame_ends,
    opened,
    segment,
    written,
)


def test_a_crash_at_any_step_keeps_what_was_durable_and_nothing_torn(crash_everywhere) -> None:
    before, after = written(RECORDS, 5)[:2], written(RECORDS, 5)[2:]

    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        disk.durable = opened(disk).append(before)

    def act(disk) -> None:
        store = opened(disk, quota=1)  # a segment for each batch
        for batch in after:
            disk.durable = disk.durable + store.append([batch])

    def check(disk) -> None:
        store = opened(disk)
        there = store.read(RECORDS, 0, 10**6)
        assert there == envelopes(before + after)[: len(there)]
        assert len(there) >= len(disk.durable)
        rest = (before + after)[len(there) :]
        assert store.append(rest) == rest
        assert opened(disk).read(RECORDS, 0, 10**6) == envelopes(before + after)

    assert crash_everywhere(prepare, act, check) >= 12


def test_a_power_cut_loses_no_more_of_the_data_than_was_not_flushed(crash_everywhere) -> None:
    batches = written(DATA, 9, bytes_each=300)

    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        disk.durable = []

    def act(disk) -> None:
        store = opened(disk)
        for start in (0, 3, 6):
            store.append(batches[start : start + 3])
            disk.durable += store.flush()

    def check(disk) -> None:
        store = opened(disk)
        there = store.read(DATA, 0, 10**6)
        assert there == envelopes(batches)[: len(there)]
        assert len(there) >= len(disk.durable)
        store.append(batches[len(there) :])
        assert store.read(DATA, 0, 10**6) == envelopes(batches)

    crash_everywhere(prepare, act, check)


def test_a_crash_while_trimming_leaves_the_end_of_the_log(crash_everywhere) -> None:
    records = written(RECORDS, 4)

    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        opened(disk, quota=1).append(records)

    def act(disk) -> None:
        assert opened(disk, quota=1).trim(RECORDS, 5) == 5

    def check(disk) -> None:
        there = opened(disk).read(RECORDS, 0, 10**6)
        assert there[-2:] == envelopes(records[2:])

    crash_everywhere(prepare, act, check)


def test_a_cut_at_any_length_leaves_the_whole_batches(folder) -> None:
    records = written(RECORDS, 3)
    opened(folder).append(records)
    good = bytes(segment(folder, RECORDS))
    ends = frame_ends(records)
    for length in sorted({*range(1, len(good), 5), *ends[:-1]}):
        folder.names_now = {path: file for path, file in folder.names_now.items()
                            if ".damaged" not in str(path)}  # fmt: skip
        segment(folder, RECORDS)[:] = good[:length]
        store = opened(folder)
        whole = sum(end <= length for end in ends)
        assert store.read(RECORDS, 0, 10**6) == envelopes(records[:whole])
        torn = [] if length in ends else [Damage(RECORDS, 2 * whole, torn=True)]
        assert store.reports() == torn
        store.append(records)
        assert store.read(RECORDS, 0, 10**6) == envelopes(records)
        assert bytes(segment(folder, RECORDS)) == good


def test_a_flip_anywhere_is_reported_and_only_the_batches_before_it_are_used(folder) -> None:
    records = written(RECORDS, 4)
    opened(folder).append(records)
    good = bytes(segment(folder, RECORDS))
    ends = frame_ends(records)
    for place in range(0, len(good), 7):
        segment(folder, RECORDS)[:] = good
        segment(folder, RECORDS)[place] ^= 1 << place % 8
        store = opened(folder)
        kept = sum(end <= place for end in ends)
        assert store.read(RECORDS, 0, 10**6) == envelopes(records[:kept])
        assert store.reports() == [Damage(RECORDS, 2 * kept, torn=kept == 3)]
        assert opened(folder).reports() == []
        store.append(records)
        assert opened(folder).read(RECORDS, 0, 10**6) == envelopes(records)
    aside = [path for path in folder.files(FOLDER) if path.parts[0] == ".damaged"]
    assert 1 <= len(aside) <= DAMAGED_FILES_MAX


def test_a_flip_in_an_early_segment_ends_a_record_log_there(folder) -> None:
    records = written(RECORDS, 5)
    opened(folder, quota=1).append(records)
    segment(folder, RECORDS, 2)[-1] ^= 1
    store = opened(folder)
    assert store.reports() == [Damage(RECORDS, 4, torn=False)]
    assert store.tails() == {RECORDS: Tail(4, records[1].digest)}
    assert len([path for path in folder.files(FOLDER) if path.parts[0] == ".damaged"]) == 3


def test_a_record_that_goes_bad_while_the_daemon_runs_is_not_read_beyond(folder) -> None:
    store = opened(folder, quota=1)
    records = written(RECORDS, 4)
    store.append(records)
    segment(folder, RECORDS, 1)[-1] ^= 1
    for _ in range(2):
        assert store.read(RECORDS, 0, 10**6) == envelopes(records[:1])
    assert store.reports() == [Damage(RECORDS, 2, torn=False)]


def test_data_that_goes_bad_is_passed_over(folder) -> None:
    batches = written(DATA, 4, bytes_each=900)
    store = opened(folder, quota=9000)
    store.append(batches)
    segment(folder, DATA, 1)[-1] ^= 1
    for again in (store, opened(folder, quota=9000)):
        assert again.read(DATA, 0, 10**6) == envelopes([batches[0], *batches[2:]])
        assert again.reports() == [Damage(DATA, 2, torn=False)]


def test_a_data_log_whose_last_segment_is_lost_ends_in_the_one_before(folder) -> None:
    batches = written(DATA, 3, bytes_each=900)
    opened(folder, quota=9000).append(batches)
    for number in (2, 1):
        segment(folder, DATA, number)[0] ^= 1
    store = opened(folder, quota=9000)
    assert store.tails() == {DATA: Tail(2, batches[0].digest)}
    store.append(batches)
    assert opened(folder).read(DATA, 0, 10**6) == envelopes(batches)


def test_nothing_is_left_of_a_log_that_is_all_bad(folder) -> None:
    for key in (DATA, RECORDS):
        opened(folder).append(written(key, 1))
        segment(folder, key)[:] = bytes(4 << 20)
    store = opened(folder)
    assert store.tails() == {}
    assert {report.after for report in store.reports()} == {0}
    assert store.sizes() == Sizes(0, 0, 0)


def test_a_full_disk_leaves_the_log_as_it_was(folder) -> None:
    store = opened(folder)
    records = written(RECORDS, 3)
    store.append(records[:1])
    folder.room = len(segment(folder, RECORDS)) + 100
    with pytest.raises(DiskFull):
        store.append(records[1:])
    assert store.read(RECORDS, 0, 10**6) == envelopes(records[:1])
    folder.room = None
    assert store.append(records) == records
    assert opened(folder).read(RECORDS, 0, 10**6) == envelopes(records)


def test_after_a_failed_sync_nothing_is_called_durable_until_it_was_checked(folder) -> None:
    store = opened(folder)
    records = written(RECORDS, 3)
    store.append(records[:1])
    real, folder.sync = folder.sync, None

    def failing(path: Path, handle: int) -> None:
        raise DiskFailed(path, "Input/output error")

    folder.sync = failing
    with pytest.raises(DiskFailed):
        store.append(records[1:2])
    folder.sync = real
    for call in (lambda: store.append(records[1:2]), lambda: store.flush([RECORDS]),
                 lambda: store.append(records[2:])):  # fmt: skip
        with pytest.raises(DiskFailed, match="restart the daemon"):
            call()
    assert opened(folder).append(records) == records


def test_a_neighbours_log_that_cannot_be_synced_does_not_stop_our_own(folder) -> None:
    store = opened(folder)
    copies, data, records = written(COPIED, 2), written(DATA, 2), written(RECORDS, 1)
    store.append(copies[:1])
    folder.fail = {FOLDER / next(iter(folder.files(FOLDER)))}
    store.append(data[:1])
    assert store.flush([DATA]) == data[:1]
    (report,) = store.reports()
    assert isinstance(report, Unsynced)
    assert report.key == COPIED
    folder.fail = set()
    assert store.append([*records, data[1]]) == records
    assert store.flush([DATA]) == data[1:]
    assert store.reports() == []
    for call in (lambda: store.append(copies[:1]), lambda: store.append(copies[1:]),
                 lambda: store.flush([COPIED])):  # fmt: skip
        with pytest.raises(DiskFailed, match="restart the daemon"):
            call()


def test_whose_data_cannot_be_synced_is_told_so_and_all_others_are_synced(folder) -> None:
    store = opened(folder)
    data, copies = written(DATA, 1), written(COPIED, 1)
    store.append(data)
    folder.fail = {FOLDER / next(iter(folder.files(FOLDER)))}
    store.append(copies)
    with pytest.raises(DiskFailed, match="Input/output error"):
        store.flush([DATA])
    assert store.append(copies) == copies
    assert store.reports() == []


def test_a_write_that_cannot_be_taken_back_closes_the_log(folder) -> None:
    store = opened(folder)
    records = written(RECORDS, 2)
    store.append(records[:1])
    path = FOLDER / next(path for path in folder.files(FOLDER))
    real = folder._check
    calls = itertools.count()
    folder._check = lambda at: real(at) if next(calls) == 0 else failing(at)

    def failing(at: Path) -> None:
        raise DiskFailed(at, "Input/output error")

    with pytest.raises(DiskFailed):
        store.append(records[1:])
    folder._check = real
    with pytest.raises(DiskFailed, match="restart the daemon"):
        store.append(records[1:])
    assert folder.size_at(path) is not None


@pytest.mark.parametrize("key", [RECORDS, DATA])
def test_a_log_that_cannot_be_read_does_not_stop_the_start(folder, key: LogKey) -> None:
    opened(folder).append(written(key, 1))
    opened(folder).append(written(COPIED, 1))
    path = next(FOLDER / path for path in folder.files(FOLDER) if path.parts[0] == "north-1")
    folder.fail = {path}
    store = opened(folder)
    assert COPIED in store.tails()
    assert store.reports() == [Damage(key, 0, torn=False)]
    with pytest.raises(DiskFailed):
        store.append(written(key, 2))


def test_a_torn_log_on_a_read_only_disk_is_read_as_far_as_it_goes(folder) -> None:
    records = written(RECORDS, 2)
    opened(folder).append(records)
    del segment(folder, RECORDS)[-1:]
    folder.read_only = True
    store = opened(folder)
    assert store.read(RECORDS, 0, 10**6) == envelopes(records[:1])
    with pytest.raises(DiskFailed):
        store.append(records[1:])


def test_random_faults_never_show_anything_but_a_prefix(disk) -> None:
    records = written(RECORDS, 12)
    for seed in range(40):
        choose = random.Random(seed)
        disk.__init__()
        disk.make_folder(FOLDER)
        disk.settle()
        opened(disk, quota=3000).append(records)
        for _ in range(choose.randint(1, 3)):
            data = segment(disk, RECORDS)
            data[choose.randrange(len(data))] ^= choose.randint(1, 255)
        there = opened(disk).read(RECORDS, 0, 10**6)
        assert there == envelopes(records)[: len(there)]
        opened(disk).append(records)
        assert opened(disk).read(RECORDS, 0, 10**6) == envelopes(records)
