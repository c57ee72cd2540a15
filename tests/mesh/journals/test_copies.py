"""Copies of others' records: bounded for each writer and in all; nothing acknowledged is lost."""

from mesh.journals import Accepted, BatchWriter, LogKey, Logs, NoRoom, acknowledge, make_entry
from mesh.journals.batches import Batch
from mesh.journals.copies import Copies
from mesh.journals.limits import (
    COPY_BYTES_A_NODE_MAX,
    ENVELOPE_BYTES_MAX,
    KEPT_AFTER_ACKNOWLEDGEMENT_MS,
    MARK_BYTES,
)
from tests.sim import identities

MIB = 1 << 20
SIGNER = identities.signer("writer")
ACKS = identities.signer("acks")


def log(node: str = "b", kind: str = "record", counter: int = 1) -> LogKey:
    return LogKey(node, counter, b"12345678", kind)


def copies(node_max: int = 1000, all_max: int = 2000) -> Copies:
    return Copies("a", {}, node_max, all_max)


def fill(logs: Logs, key: LogKey) -> None:
    """What is held of the log is as much as may be, as if it had been copied for weeks."""
    logs.copies.stored(key, 1, COPY_BYTES_A_NODE_MAX - ENVELOPE_BYTES_MAX)


def written(count: int, key: LogKey | None = None) -> list[Batch]:
    """Batches of nearly the largest size."""
    writer = BatchWriter(key or log(), SIGNER)
    entry = make_entry(
        "e", "s", "c", {f"f{n}": "x" * 1000 for n in range(16)}, unix_ms=1, monotonic_ms=1
    )
    return [writer.batch([entry] * 11) for _ in range(count)]


def test_each_writer_has_a_limit_and_all_have_one() -> None:
    held = copies()
    held.stored(log(), 5, 900)
    assert held.fits(log(counter=2), 100)
    assert not held.fits(log(counter=2), 101)
    held.stored(log("c"), 5, 900)
    assert held.fits(log("d"), 200)
    assert not held.fits(log("d"), 201)


def test_own_records_and_data_have_no_limit_here() -> None:
    held = copies()
    for key in (log("a"), log("b", "data")):
        held.accepted(key, 10**9)
        held.stored(key, 5, 10**9)
        assert held.fits(key, 10**9)
    assert held.full() == []
    assert not held.any_crowded()


def test_what_is_to_be_written_counts_once_and_what_is_lost_not_at_all() -> None:
    held = copies()
    held.accepted(log(), 600)
    assert not held.fits(log(), 401)
    held.stored(log(), 5, 300)
    assert held.fits(log(), 400)
    assert not held.fits(log(), 401)
    held.abandoned(log())
    held.abandoned(log("c"))
    assert held.fits(log(), 700)
    assert not held.fits(log(), 701)


def test_trimming_makes_room() -> None:
    held = Copies("a", {log(): [(5, MARK_BYTES), (9, 100)]}, MARK_BYTES + 200, 10 * MIB)
    assert held.crowded("b")
    assert held.sheds(log(), 5)
    assert not held.sheds(log(), 4)
    held.trimmed(log(), 4)
    assert not held.fits(log(), 101)
    held.trimmed(log(), 5)
    assert held.fits(log(), MARK_BYTES + 100)
    held.stored(log(), 11, 50)
    held.trimmed(log(), 9)  # one run: it stays until all of it may go
    assert not held.fits(log(), MARK_BYTES + 100)
    held.trimmed(log())
    held.trimmed(log())
    assert held.fits(log(), MARK_BYTES + 200)
    assert not held.any_crowded()


def test_a_batch_that_does_not_fit_is_not_taken_nor_asked_for() -> None:
    logs = Logs({}, own="a")
    fill(logs, log(counter=9))
    one, two, three = written(3)
    assert isinstance(logs.accept(one), Accepted)
    logs.stored(one)
    assert logs.accept(two) == NoRoom(one.last)
    assert logs.accept(three) == NoRoom(one.last)  # not as a gap, which would be asked for
    assert logs.wanted({log(): three.last, log("c"): 5}) == {log(): one.last, log("c"): 0}
    logs.copies.stored(log(), one.last, ENVELOPE_BYTES_MAX)
    assert logs.wanted({log(): three.last, log("c"): 5}) == {log("c"): 0}
    assert logs.copies.full() == ["b"]
    assert isinstance(logs.accept(written(1, log("c"))[0]), Accepted)


def test_a_master_takes_all_records() -> None:
    logs = Logs({}, archive=True)
    fill(logs, log(counter=9))
    logs.copies.stored(log(counter=8), 1, MIB)
    assert isinstance(logs.accept(written(1)[0]), Accepted)


def test_what_a_master_has_goes_before_its_time_where_copies_are_many() -> None:
    logs = Logs({}, own="a")
    one, two = written(2)
    for batch in (one, two):
        assert isinstance(logs.accept(batch), Accepted)
        logs.stored(batch)
    envelope = acknowledge(log(), two.last, identities.MASTER, ACKS)
    logs.acknowledge(envelope, [ACKS.public_key], 0)
    assert logs.trimmable(1) == []
    logs.copies.stored(log(counter=9), 1, COPY_BYTES_A_NODE_MAX // 2)  # nobody acknowledged it
    assert logs.trimmable(1) == [(log(), two.last)]
    logs.copies.trimmed(log(), two.last)
    logs.forgotten(log())
    assert logs.trimmable(1) == []
    assert logs.acknowledged(log()) == two.last


def test_copies_that_are_many_go_early_also_where_some_went_by_age_before() -> None:
    logs = Logs({}, own="a")
    one, two = written(2)
    for batch, at in ((one, 0), (two, KEPT_AFTER_ACKNOWLEDGEMENT_MS)):
        assert isinstance(logs.accept(batch), Accepted)
        logs.stored(batch)
        envelope = acknowledge(log(), batch.last, identities.MASTER, ACKS)
        logs.acknowledge(envelope, [ACKS.public_key], at)
    later = KEPT_AFTER_ACKNOWLEDGEMENT_MS + 1
    assert logs.trimmable(later) == [(log(), one.last)]
    logs.copies.stored(log(counter=9), 1, COPY_BYTES_A_NODE_MAX // 2)
    assert logs.trimmable(later) == [(log(), two.last)]
