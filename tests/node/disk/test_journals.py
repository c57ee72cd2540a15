"""What was reported as durable stays; what was cut short or flipped is never handed on."""

import itertools
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.journals import Batch, BatchWriter, LogKey, LogNameRefused, Tail, make_entry
from mesh.signed import Signer
from node.disk.errors import DiskFailed, DiskFull
from node.disk.frames import encode_frame
from node.disk.journals import Dropped, JournalStore, Sizes, Unsynced
from node.disk.recovery import DAMAGED_FILES_MAX, Damage

FOLDER = Path("/journals")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
NONCE = b"8 bytes!"
RECORDS = LogKey("north-1", 1, NONCE, "record")
DATA = LogKey("north-1", 1, NONCE, "data")
COPIED = LogKey("north-2", 1, NONCE, "data")
QUOTA = 1 << 20


def written(key: LogKey, count: int, bytes_each: int = 0) -> list[Batch]:
    writer = BatchWriter(key, SIGNER)
    entry = make_entry("event", "", "", {"v": "x" * bytes_each}, unix_ms=0, monotonic_ms=0)
    return [writer.batch([entry] * 2) for _ in range(count)]


def opened(disk, quota: int = QUOTA) -> JournalStore:
    return JournalStore(FOLDER, quota, "north-1", disk)


def envelopes(batches: list[Batch]) -> list[bytes]:
    return [batch.envelope for batch in batches]


def frame_ends(batches: list[Batch]) -> list[int]:
    """Where the frame of each batch ends in a segment that holds them all."""
    return list(itertools.accumulate(len(encode_frame(batch)) for batch in batches))


def segment(disk, key: LogKey, number: int = 0) -> bytearray:
    names = [path for path in disk.files(FOLDER) if path.match(f"{key.node}/*{key.kind}/*.seg")]
    return disk.data(FOLDER / names[number])


@pytest.fixture
def folder(disk):
    disk.make_folder(FOLDER)
    disk.settle()
    return disk


def test_what_is_appended_is_read_back_in_order(folder) -> None:
    store = opened(folder)
    records, data = written(RECORDS, 3), written(DATA, 2)
    assert store.append([*records, *data]) == records
    assert store.flush() == data
    assert store.flush() == []
    assert store.read(RECORDS, 0, 10**6) == envelopes(records)
    assert store.read(RECORDS, 2, 10**6) == envelopes(records[1:])
    assert store.read(RECORDS, 3, 10**6) == envelopes(records[1:])
    assert store.read(RECORDS, 6, 10**6) == []
    assert store.read(COPIED, 0, 10**6) == []
    assert store.tails() == {RECORDS: Tail(6, records[-1].digest), DATA: Tail(4, data[-1].digest)}
    assert opened(folder).tails() == store.tails()
    assert opened(folder).reports() == []


def test_a_reader_gets_at_least_one_batch_and_no_more_than_fit(folder) -> None:
    store = opened(folder)
    records = written(RECORDS, 3)
    store.append(records)
    two = len(records[0].envelope) + len(records[1].envelope)
    for bytes_max, count in ((0, 1), (two - 1, 1), (two, 2)):
        assert store.read(RECORDS, 0, bytes_max) == envelopes(records[:count])


def test_nothing_is_written_twice(folder) -> None:
    store = opened(folder)
    records, data = written(RECORDS, 2), written(DATA, 2)
    store.append([*records, *data])
    size = store.sizes()
    assert store.append([*records, *data]) == records  # the data is still not durable
    store.flush()
    assert store.append([*data]) == data
    assert store.sizes() == size


def test_it_works_on_a_real_disk(tmp_path: Path) -> None:
    records = written(RECORDS, 40, bytes_each=1000)
    JournalStore(tmp_path, QUOTA).append(records[:30])
    store = JournalStore(tmp_path, QUOTA)
    store.append(records[30:])
    assert JournalStore(tmp_path, QUOTA).read(RECORDS, 0, 10**9) == envelopes(records)
    assert store.trim(RECORDS, 80)
    assert list((tmp_path / "north-1").iterdir()) == []


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
        assert not opened(disk, quota=1).trim(RECORDS, 5)

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


def test_what_is_not_ours_in_the_folder_is_left_alone(folder) -> None:
    opened(folder).append(written(RECORDS, 1))
    log = next(path for path in folder.names_now if path.name.endswith("-record"))
    strange = [FOLDER / "notes.txt", log / "x.seg", FOLDER / "north-1" / "huh"]
    for path in strange:
        folder.create(path)
    folder.make_folder(FOLDER / "north-1" / f"{2**63:020}-{NONCE.hex()}-record")
    folder.make_folder(FOLDER / "Not a label" / log.name)
    assert list(opened(folder).tails()) == [RECORDS]
    assert all(path in folder.names_now for path in strange)


def test_beyond_the_quota_the_oldest_data_goes_counted_and_no_record(folder) -> None:
    store = opened(folder, quota=20_000)
    old, new = LogKey("north-1", 1, NONCE, "data"), LogKey("north-1", 2, NONCE, "data")
    copies, records = written(COPIED, 3, 900), written(RECORDS, 20, 900)
    store.append([*records, *copies])
    store.append(written(old, 5, 900))
    for batch in written(new, 30, 900):
        store.append([batch])
    sizes = store.sizes()
    assert sizes.own_data <= 20_000 < sizes.records
    assert store.read(RECORDS, 0, 10**6) == envelopes(records)
    assert store.read(COPIED, 0, 10**6) == envelopes(copies)
    dropped = store.reports()
    assert all(isinstance(report, Dropped) for report in dropped)
    assert [report for report in dropped if report.gone] == [Dropped(old, 9, 10, gone=True)]
    gone = sum(report.last - report.first + 1 for report in dropped if report.key == new)
    assert len(store.read(new, 0, 10**6)) == (60 - gone) // 2
    assert opened(folder, quota=20_000).sizes() == sizes


def test_copies_have_a_quota_of_their_own(folder) -> None:
    store = opened(folder, quota=10_000)
    mine = written(DATA, 2, 900)
    store.append(mine)
    store.append(written(COPIED, 20, 900))
    assert store.read(DATA, 0, 10**6) == envelopes(mine)
    assert store.sizes().copied_data <= 10_000


def test_one_segment_stays_however_small_the_quota(folder) -> None:
    store = opened(folder, quota=10)
    batches = written(DATA, 3, 900)
    store.append(batches)
    assert store.read(DATA, 0, 10**6) == envelopes(batches[2:])
    assert store.flush() == batches


def test_trimming_takes_whole_segments_and_then_the_log(folder) -> None:
    store = opened(folder, quota=1)
    records = written(RECORDS, 3)
    store.append(records)
    assert not store.trim(RECORDS, 3)
    assert store.read(RECORDS, 0, 10**6) == envelopes(records[1:])
    assert store.trim(RECORDS, 6)
    assert store.trim(RECORDS, 6)
    assert folder.files(FOLDER) == []
    more = BatchWriter(RECORDS, SIGNER, 7, records[-1].digest).batch(records[0].entries)
    store.append([more])
    assert opened(folder).tails() == {RECORDS: Tail(8, more.digest)}


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


def test_a_key_that_no_message_could_carry_makes_no_folder(folder) -> None:
    bad = written(LogKey("north-1", 1, NONCE, "record"), 1)[0]
    object.__setattr__(bad, "key", LogKey("../../etc", 1, NONCE, "record"))
    with pytest.raises(LogNameRefused):
        opened(folder).append([bad])
    assert folder.files(FOLDER) == []


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
