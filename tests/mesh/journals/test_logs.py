"""Entries arrive once and in order; nothing is forgotten that no master has."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.journals import (
    Accepted,
    Acknowledged,
    Batch,
    BatchWriter,
    Duplicate,
    Fork,
    Full,
    Gap,
    Known,
    LogKey,
    Logs,
    Refused,
    Tail,
    acknowledge,
    make_entry,
)
from mesh.journals.limits import KEPT_AFTER_ACKNOWLEDGEMENT_MS as WEEK_MS
from mesh.signed import Signer
from protos.documents_pb2 import JournalEntry

NODE = Signer(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
MASTER = Signer(Ed25519PrivateKey.from_private_bytes(b"m" * 32))
KEYS = [MASTER.public_key]
DAY_MS = WEEK_MS // 7


def log(boot: int = 1, kind: str = "record", node: str = "north-1") -> LogKey:
    return LogKey(node, boot, b"8 bytes!", kind)


def entries(count: int) -> list[JournalEntry]:
    return [make_entry("detection", "", "", {}, unix_ms=0, monotonic_ms=0)] * count


def written(key: LogKey, *counts: int) -> list[Batch]:
    """Batches of a log, one for each number of entries."""
    writer = BatchWriter(key, NODE)
    return [writer.batch(entries(count)) for count in counts]


def take(logs: Logs, *batches: Batch) -> None:
    for batch in batches:
        assert isinstance(logs.accept(batch), Accepted)
        logs.stored(batch)


def acknowledged(logs: Logs, key: LogKey, sequence: int, now_ms: int = 0) -> object:
    return logs.acknowledge(acknowledge(key, sequence, "master-1", MASTER), KEYS, now_ms)


def test_batches_join_in_order_and_once() -> None:
    one, two, three = written(log(), 2, 3, 1)
    logs = Logs({})
    take(logs, one, two)
    assert logs.accept(one) == Duplicate()
    assert logs.accept(two) == Duplicate()
    take(logs, three)
    assert logs.held(log()) == Tail(6, three.digest)


def test_several_batches_may_be_taken_before_the_first_is_on_disk() -> None:
    one, two = written(log(), 1, 1)
    logs = Logs({})
    assert logs.accept(one) == Accepted()
    assert logs.accept(two) == Accepted()
    assert logs.held(log()) is None
    logs.stored(one)
    assert logs.held(log()) == Tail(1, one.digest)
    assert logs.accept(two) == Duplicate()


def test_what_the_disk_refused_may_come_again() -> None:
    one, two = written(log(), 1, 1)
    logs = Logs({})
    take(logs, one)
    logs.accept(two)
    logs.abandoned(log())
    logs.abandoned(log(boot=9))
    assert logs.accept(two) == Accepted()


def test_a_record_log_has_no_gaps() -> None:
    one, _, three = written(log(), 2, 3, 1)
    logs = Logs({})
    assert logs.accept(three) == Gap(1)
    take(logs, one)
    assert logs.accept(three) == Gap(3)
    assert logs.held(log()) == Tail(2, one.digest)


def test_a_data_log_may_go_on_later_and_the_gap_is_counted() -> None:
    one, _, three = written(log(kind="data"), 2, 3, 1)
    logs = Logs({})
    take(logs, one)
    assert logs.accept(three) == Accepted(missing=3)
    assert Logs({}).accept(three) == Accepted(missing=5)


def test_what_its_writer_dropped_is_counted_without_a_break_in_the_chain() -> None:
    writer = BatchWriter(log(kind="data"), NODE)
    one, two = writer.batch(entries(1)), writer.batch(entries(1), dropped=7)
    logs = Logs({})
    take(logs, one)
    assert logs.accept(two) == Accepted(missing=7)


def test_two_histories_of_one_log_are_a_fork_and_the_first_stays() -> None:
    one, two = written(log(), 2, 2)
    other = BatchWriter(log(), NODE).batch([*entries(1), JournalEntry(event="x")])
    overlapping = written(log(), 1, 5)[1]
    rechained = replace(two, previous=b"x" * 32)
    logs = Logs({})
    take(logs, one)
    kept = Tail(2, one.digest)
    for batch in (other, overlapping, rechained):
        assert logs.accept(batch) == Fork(kept, batch)
    take(logs, two)


def test_a_drop_that_would_cover_what_is_held_is_a_fork() -> None:
    logs = Logs({log(kind="data"): Tail(4, b"d" * 32)})
    batch = replace(written(log(kind="data"), 1)[0], first=9, last=9, dropped=8)
    assert logs.accept(batch) == Fork(Tail(4, b"d" * 32), batch)


def test_what_was_held_at_the_start_is_gone_on_with() -> None:
    one, two = written(log(), 1, 1)
    logs = Logs({log(): Tail(1, one.digest)})
    take(logs, two)
    assert logs.held(log()) == Tail(2, two.digest)


def test_own_batches_are_stored_without_being_asked() -> None:
    one, two = written(log(), 1, 1)
    logs = Logs({}, own="north-1")
    logs.stored(one)
    logs.stored(two)
    logs.stored(one)
    assert logs.held(log()) == Tail(2, two.digest)
    assert logs.accept(two) == Duplicate()


def test_the_highest_acknowledgement_wins() -> None:
    logs = Logs({})
    assert isinstance(acknowledged(logs, log(), 5), Acknowledged)
    assert isinstance(acknowledged(logs, log(), 5), Known)
    assert isinstance(acknowledged(logs, log(), 4), Known)
    assert isinstance(acknowledged(logs, log(), 6), Acknowledged)
    assert logs.acknowledged(log()) == 6
    assert logs.acknowledged(log(boot=2)) == 0
    assert len(logs.digests()) == 1
    [(key, sequence, envelope)] = logs.acknowledgements()
    assert (key, sequence) == (log(), 6)
    assert envelope == acknowledge(log(), 6, "master-1", MASTER)


def test_a_forged_acknowledgement_changes_nothing() -> None:
    logs = Logs({})
    answer = logs.acknowledge(acknowledge(log(), 5, "master-1", NODE), KEYS, 0)
    assert isinstance(answer, Refused)
    assert answer.reason == "unknown key"
    assert logs.acknowledgements() == []


def test_what_is_offered_is_what_no_master_has_records_first() -> None:
    logs = Logs({})
    for key in (log(1), log(1, "data"), log(2), log(2, "data", "north-2")):
        take(logs, *written(key, 3))
    acknowledged(logs, log(1), 3)
    acknowledged(logs, log(2), 1)
    assert logs.unacknowledged() == [
        (log(2), 3),
        (log(1, "data"), 3),
        (log(2, "data", "north-2"), 3),
    ]


def test_wanted_is_what_goes_on_beyond_what_is_here() -> None:
    logs = Logs({log(1): Tail(4, b"d" * 32)})
    acknowledged(logs, log(2), 7)
    offer = {log(1, "data"): 2, log(1): 4, log(2): 9, log(3): 1}
    assert list(logs.wanted(offer).items()) == [(log(2), 7), (log(3), 0), (log(1, "data"), 0)]


def test_a_copy_may_begin_behind_what_a_master_has() -> None:
    one, two, three = written(log(), 2, 2, 2)
    logs = Logs({log(): Tail(2, one.digest)})
    acknowledged(logs, log(), 4)
    assert logs.accept(two) == Duplicate()
    assert logs.accept(three) == Accepted()


def test_a_masters_archive_asks_for_what_it_acknowledged_and_lost() -> None:
    one, two, three = written(log(), 2, 2, 2)
    archive = Logs({log(): Tail(2, one.digest)}, archive=True)
    acknowledged(archive, log(), 4)
    assert archive.wanted({log(): 6}) == {log(): 2}
    assert archive.accept(three) == Gap(3)
    take(archive, two, three)


def test_acknowledged_entries_stay_seven_days() -> None:
    logs = Logs({})
    take(logs, *written(log(), 10))
    acknowledged(logs, log(), 4, now_ms=0)
    acknowledged(logs, log(), 6, now_ms=DAY_MS // 2)
    acknowledged(logs, log(), 8, now_ms=DAY_MS)
    acknowledged(logs, log(), 12, now_ms=2 * DAY_MS)
    assert logs.trimmable(WEEK_MS - 1) == []
    assert logs.trimmable(WEEK_MS) == [(log(), 4)]
    assert logs.trimmable(WEEK_MS + DAY_MS) == [(log(), 8)]
    assert logs.trimmable(WEEK_MS + 2 * DAY_MS) == [(log(), 10)]


def test_years_of_acknowledgements_leave_a_few_notes_a_log() -> None:
    logs = Logs({log(): Tail(10**6, b"d" * 32)})
    for hour in range(24 * 30):
        acknowledged(logs, log(), hour + 1, now_ms=hour * DAY_MS // 24)
    assert len(logs._logs[log()].checkpoints) <= 9
    [(_, sequence)] = logs.trimmable(24 * 30 * DAY_MS // 24)
    assert 24 * 22 <= sequence <= 24 * 23 + 1


def test_a_log_that_was_removed_is_not_fetched_again() -> None:
    logs = Logs({log(1): Tail(3, b"d" * 32), log(2): Tail(3, b"d" * 32)})
    acknowledged(logs, log(1), 3)
    for key in (log(1), log(2), log(3)):
        logs.forgotten(key)
    assert logs.held(log(1)) is None
    assert logs.trimmable(2 * WEEK_MS) == []
    assert logs.wanted({log(1): 3, log(2): 3}) == {log(2): 0}


def test_invented_boots_are_bounded_and_the_oldest_acknowledged_goes_first() -> None:
    logs = Logs({}, per_node_max=3)
    take(logs, *[written(log(boot), 1)[0] for boot in (1, 2, 3)])
    assert logs.accept(written(log(4), 1)[0]) == Full(3)
    assert logs.wanted({log(4): 1}) == {}
    assert isinstance(acknowledged(logs, log(9), 1), Refused)
    acknowledged(logs, log(2), 1)
    acknowledged(logs, log(3), 1)
    take(logs, written(log(4), 1)[0])
    assert logs.held(log(2)) is None
    assert [logs.held(log(boot)) is not None for boot in (1, 3, 4)] == [True] * 3
    assert logs.accept(written(log(2), 1)[0]) == Full(3)
    assert logs.accept(written(log(7, node="north-2"), 1)[0]) == Accepted()


def test_no_limit_turns_away_a_nodes_own_logs() -> None:
    logs = Logs({log(boot): Tail(1, b"d" * 32) for boot in range(1, 6)}, own="north-1",
                per_node_max=3)  # fmt: skip
    take(logs, written(log(6), 1)[0])
    assert len(logs.unacknowledged()) == 6


def test_more_logs_than_the_limit_on_disk_are_all_known() -> None:
    logs = Logs({log(boot): Tail(1, b"d" * 32) for boot in range(1, 6)}, per_node_max=3)
    assert len(logs.unacknowledged()) == 5


@pytest.mark.parametrize("kind", ["record", "data"])
def test_a_union_does_not_depend_on_who_sends_what(kind: str) -> None:
    batches = written(log(kind=kind), 1, 2, 3, 4)
    logs = Logs({})
    for end in (1, 3, 2, 4):
        for batch in batches[:end]:
            if isinstance(logs.accept(batch), Accepted):
                logs.stored(batch)
    assert logs.held(log(kind=kind)) == Tail(10, batches[-1].digest)
