"""What was reported as durable stays; what was cut short or flipped is never handed on."""

from pathlib import Path

import pytest

from mesh.journals import BatchWriter, LogKey, LogNameRefused, Tail
from node.disk.journals import Dropped, JournalStore
from tests.node.disk.logs import (
    COPIED,
    DATA,
    FOLDER,
    NONCE,
    QUOTA,
    RECORDS,
    SIGNER,
    envelopes,
    opened,
    written,
)


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
    assert store.trim(RECORDS, 80) is None
    assert list((tmp_path / "north-1").iterdir()) == []


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


def test_of_copies_the_oldest_data_of_whoever_has_the_most_goes(folder) -> None:
    store = opened(folder, quota=20_000)
    modest = written(COPIED, 2, 900)
    store.append(modest)
    flood = LogKey("north-3", 1, NONCE, "data")
    store.append(written(flood, 30, 900))
    assert store.read(COPIED, 0, 10**6) == envelopes(modest)
    assert store.sizes().copied_data <= 20_000
    assert {report.key for report in store.reports()} == {flood}


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
    assert store.trim(RECORDS, 1) == 1
    assert store.trim(RECORDS, 3) == 3, "4 lies in the segment of 3, which stays"
    assert store.read(RECORDS, 0, 10**6) == envelopes(records[1:])
    assert store.trim(RECORDS, 6) is None
    assert store.trim(RECORDS, 6) is None
    assert folder.files(FOLDER) == []
    more = BatchWriter(RECORDS, SIGNER, 7, records[-1].digest).batch(records[0].entries)
    store.append([more])
    assert opened(folder).tails() == {RECORDS: Tail(8, more.digest)}


def test_a_key_that_no_message_could_carry_makes_no_folder(folder) -> None:
    bad = written(LogKey("north-1", 1, NONCE, "record"), 1)[0]
    object.__setattr__(bad, "key", LogKey("../../etc", 1, NONCE, "record"))
    with pytest.raises(LogNameRefused):
        opened(folder).append([bad])
    assert folder.files(FOLDER) == []
