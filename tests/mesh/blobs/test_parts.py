"""The swarm's parts, one by one: bitmaps, boards, claims, credit, flights, transfers."""

from dataclasses import replace

import pytest

from mesh.blobs import bitmaps
from mesh.blobs.board import Board
from mesh.blobs.boards import Boards
from mesh.blobs.claims import Claims
from mesh.blobs.credit import Credit, Tally
from mesh.blobs.flights import Flight, Flights
from mesh.blobs.swarm_limits import BITMAP_BYTES_MAX, DEFAULT_LIMITS
from mesh.blobs.transfer import Transfer
from protos.peer_pb2 import Holdings
from tests.mesh.blobs.making import artifact_of

A, B = b"a" * 32, b"b" * 32


def test_bitmaps_go_there_and_back() -> None:
    bits = bitmaps.of([0, 3, 9])
    assert list(bitmaps.members(bits)) == [0, 3, 9]
    assert bitmaps.to_bytes(bits, 10) == b"\x09\x02"
    assert bitmaps.from_bytes(b"\x09\x02") == bits
    assert bitmaps.full(3) == 0b111
    assert [bitmaps.length(count) for count in (1, 8, 9)] == [1, 1, 2]


# -- boards --


def test_a_board_counts_copies() -> None:
    board = Board()
    board.know(10)
    assert board.said("x", Holdings(bitmap=b"\x03\x00"))
    assert board.said("y", Holdings(complete=True))
    assert board.copies == [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert board.said("x", Holdings(bitmap=b"\x04\x00")), "a peer may have lost chunks"
    assert board.copies == [1, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    assert board.fetching() == ["x"]
    board.gone("y")
    board.gone("y")
    assert board.copies == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert board.said("x", Holdings())
    assert board.fetching() == []
    assert board.bits("x") == 0


@pytest.mark.parametrize(
    "bitmap",
    [
        pytest.param(b"\x01", id="too short"),
        pytest.param(b"\x01\x00\x00", id="too long"),
        pytest.param(b"\x01\x04", id="a chunk beyond the last"),
        pytest.param(bytes(BITMAP_BYTES_MAX + 1), id="longer than any artifact's"),
    ],
)
def test_a_word_that_cannot_be_true_is_dropped(bitmap: bytes) -> None:
    before, after = Board(), Board()
    after.know(10)
    assert after.said("x", Holdings(bitmap=b"\x01\x00"))
    assert not after.said("x", Holdings(bitmap=bitmap))
    assert after.bits("x") == 1, "the last word stands"
    before.said("x", Holdings(bitmap=bitmap))
    before.know(10)
    assert before.bits("x") == 0


def test_words_that_came_before_the_manifest_count_after_it() -> None:
    board = Board()
    board.said("y", Holdings(complete=True))
    board.said("x", Holdings(bitmap=b"\x03"))
    board.claims.claim("x", 5, now_ms=0, lease_ms=1000, room=8)
    board.claims.claim("x", 2, now_ms=0, lease_ms=1000, room=8)
    board.know(3)
    assert board.bits("y") == 0b111
    assert board.bits("x") == 0b011
    assert board.claims.holds(2, 0)
    assert not board.claims.holds(5, 0)


def test_boards_are_bounded_for_each_peer() -> None:
    boards = Boards(per_peer=1)
    first = boards.for_word("x", A)
    assert first is boards.of(A)
    assert boards.for_word("x", B) is None, "one too many"
    assert boards.for_word("y", B) is boards.of(B)
    assert boards.for_word("y", b"short") is None
    boards.silent("x", A)
    assert boards.for_word("x", B) is boards.of(B)


def test_boards_that_nobody_speaks_on_are_dropped() -> None:
    boards = Boards(per_peer=8)
    for artifact in (A, B):
        board = boards.for_word("x", artifact)
        assert board is not None
        board.said("x", Holdings(bitmap=b"\x01"))
    kept, dropped = boards.of(A), boards.of(B)
    assert kept.fetching() == dropped.fetching() == ["x"]
    boards.gone("x")
    boards.gone("stranger")
    boards.tidy({A})
    assert boards.of(A) is kept
    assert kept.fetching() == []
    assert boards.of(B) is not dropped


# -- claims --


def test_a_claim_holds_for_its_lease_and_can_be_renewed() -> None:
    claims = Claims()
    assert claims.claim("x", 1, now_ms=0, lease_ms=100, room=1)
    assert claims.holds(1, 99)
    assert not claims.holds(1, 100)
    assert claims.claim("x", 1, now_ms=50, lease_ms=100, room=1)
    assert claims.holds(1, 149)
    assert not claims.holds(2, 0)


def test_a_peer_has_room_for_so_many_claims() -> None:
    claims = Claims()
    taken = [claims.claim("x", chunk, now_ms=0, lease_ms=100, room=2) for chunk in range(3)]
    assert taken == [True, True, False]
    for chunk in range(20):
        claims.give_up("x", chunk, 0)
        claims.claim("x", chunk, now_ms=0, lease_ms=100, room=2)
        claims.give_up("x", chunk, 0)
    assert not claims.claim("x", 30, 0, 100, 2), "those given up are bounded as well"


def test_a_claim_that_is_kept_says_how_long_it_took() -> None:
    claims = Claims()
    claims.claim("x", 1, now_ms=10, lease_ms=100, room=9)
    claims.claim("x", 2, now_ms=10, lease_ms=100, room=9)
    assert claims.kept("x", 0b010, now_ms=70) == [60]
    assert not claims.holds(1, 70)
    assert claims.holds(2, 70)
    assert claims.kept("y", 0b010, now_ms=70) == []


def test_patience_ends_a_claim_however_often_it_is_renewed() -> None:
    claims = Claims()
    for now_ms in range(0, 1000, 50):
        claims.claim("x", 1, now_ms, 100, 9)
    assert claims.expire(999, 1000, 0) == []
    assert claims.expire(1000, 1000, 0) == ["x"]
    assert not claims.holds(1, 1000)


def test_giving_up_in_between_buys_no_time() -> None:
    claims = Claims()
    for now_ms in range(0, 1000, 50):
        claims.claim("x", 1, now_ms, 100, 9)
        claims.give_up("x", 1, now_ms + 40)
    claims.claim("x", 1, 1000, 100, 9)
    assert claims.expire(1000, 1000, 0) == ["x"]


def test_what_was_given_up_or_came_from_elsewhere_is_no_broken_claim() -> None:
    claims = Claims()
    claims.claim("x", 1, 0, 100, 9)
    claims.claim("x", 2, 0, 100, 9)
    claims.give_up("x", 1, 50)
    claims.give_up("y", 1, 50)
    assert not claims.holds(1, 50)
    assert claims.expire(2000, 1000, present=0b100) == []
    claims.gone("x")


# -- credit --


def test_a_tally_puts_out_and_lets_in_again() -> None:
    tally = Tally(limit=2, out_ms=100)
    tally.add("x", 1, 0)
    assert not tally.out("x", 0)
    tally.add("x", 1, 10)
    assert tally.out("x", 109)
    assert not tally.out("x", 110)
    tally.add("x", 1, 200)
    assert not tally.out("x", 200), "it starts anew"
    tally.add("x", 1, 200)
    tally.clear("x")
    assert not tally.out("x", 200)


def test_a_source_rests_longer_each_time() -> None:
    credit = Credit(DEFAULT_LIMITS)
    rests = []
    for _ in range(7):
        credit.failed("x", 0)
        rests.append(next(ms for ms in range(0, 60_000, 500) if credit.usable("x", ms)))
    assert rests == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    assert not credit.counts("x", 0)
    credit.worked("x")
    assert credit.usable("x", 0)
    assert credit.counts("x", 0)


def test_bad_bytes_put_a_source_out_for_ten_minutes() -> None:
    credit = Credit(DEFAULT_LIMITS)
    credit.corrupt.add("x", 2, 0)
    assert credit.usable("x", 0)
    credit.corrupt.add("x", 1, 0)
    checks = (credit.usable, credit.counts, credit.heeded, credit.takes_turns)
    assert [check("x", 599_999) for check in checks] == [False] * 4
    assert [check("x", 600_000) for check in checks] == [True] * 4


# -- flights --


def test_flights_keep_loads() -> None:
    flights = Flights()
    lan = Flight(A, 0, "x", False, 10, 0)
    hedge = Flight(A, 0, "y", False, 10, 5)
    wan = Flight(A, 1, "m", True, 7, 0)
    for flight in (lan, hedge, wan):
        flights.start(flight)
    assert flights.lan_bytes == 20
    assert [flights.load(source) for source in ("x", "y", "m", "z")] == [10, 10, 7, 0]
    assert flights.bits(A) == 0b11
    assert flights.of(A, 0) == [lan, hedge]
    assert flights.all() == [lan, hedge, wan]
    for flight in (lan, wan):
        flights.end(flight)
    assert flights.bits(A) == 0b01
    flights.end(hedge)
    assert (flights.bits(A), flights.lan_bytes, flights.all()) == (0, 0, [])


# -- transfers --


def transfer_of(chunks: int, chunk_bytes: int = 65536, **limits: int) -> Transfer:
    board = Board()
    board.know(chunks)
    artifact = artifact_of(chunks, chunk_bytes=chunk_bytes)
    transfer = Transfer("n1", artifact, 0, board, replace(DEFAULT_LIMITS, **limits))
    transfer.salt("n0")
    return transfer


@pytest.mark.parametrize(
    ("chunks", "chunk_bytes", "window"),
    [
        pytest.param(1, 65536, 4, id="the smallest: four"),
        pytest.param(80, 65536, 4, id="5 % is four"),
        pytest.param(200, 65536, 10, id="5 %"),
        pytest.param(300, 1 << 20, 8, id="8 MiB"),
        pytest.param(2000, 65536, 64, id="as many as a message names"),
    ],
)
def test_the_window(chunks: int, chunk_bytes: int, window: int) -> None:
    assert transfer_of(chunks, chunk_bytes).window_chunks == window


def test_the_window_moves_on_and_back() -> None:
    transfer = transfer_of(20)
    start = transfer.window(0)
    assert len(start) == 4
    assert transfer.window(0) == start
    later = transfer.window(bitmaps.of(start[:2]))
    assert later[:2] == start[2:]
    assert len(later) == 4
    assert transfer.window(0) == start, "a holder left"
    transfer.salt("n0")
    assert transfer.window(0) == start
    transfer.salt("n1")
    assert transfer.window(0) != start, "another half of the site begins elsewhere"
    assert transfer.window(bitmaps.full(20)) == []


def test_leases_and_patience_follow_what_was_measured() -> None:
    transfer = transfer_of(20)
    assert transfer.lease_ms() == 2000
    assert transfer.patience_ms() == 30_000
    for _ in range(40):
        transfer.took(True, 10_000)
    assert 39_000 <= transfer.lease_ms() <= 40_000
    assert transfer.patience_ms() == transfer.lease_ms()
    for _ in range(40):
        transfer.took(True, 200_000)
    assert transfer.lease_ms() == 60_000
    assert transfer.patience_ms() == 120_000
    for _ in range(40):
        transfer.took(False, 1000)
    assert 2900 <= transfer.hedge_ms() <= 3000


def test_a_denial_ends() -> None:
    transfer = transfer_of(20)
    transfer.deny("x", 3, 100)
    transfer.deny("x", 4, 200)
    assert transfer.denied("y", 0) == 0
    assert list(bitmaps.members(transfer.denied("x", 99))) == [3, 4]
    assert list(bitmaps.members(transfer.denied("x", 100))) == [4]
