"""Two starts never share a counter."""

from pathlib import Path

import pytest

from node.disk.boot import BOOT_DOCUMENT, next_boot
from node.disk.documents import DocumentStore
from node.disk.errors import DiskFull

FOLDER = Path("/data")
NONCE = b"8 bytes!"


@pytest.fixture
def store(disk) -> DocumentStore:
    disk.make_folder(FOLDER)
    return DocumentStore(FOLDER, disk)


def test_each_start_counts_one_up(store: DocumentStore) -> None:
    first, second = next_boot(store, NONCE), next_boot(store, b"another!")
    assert (first.counter, first.nonce) == (1, NONCE)
    assert (second.counter, second.nonce) == (2, b"another!")


def test_a_floor_that_peers_know_is_passed(store: DocumentStore) -> None:
    assert next_boot(store, NONCE, floor=40).counter == 41
    assert next_boot(store, NONCE, floor=7).counter == 42


@pytest.mark.parametrize("starts", [1, 2, 5])
def test_a_damaged_copy_never_makes_a_counter_come_twice(store, disk, starts: int) -> None:
    last = [next_boot(store, NONCE).counter for _ in range(starts)][-1]
    disk.data(FOLDER / f"{BOOT_DOCUMENT}.doc")[-1] ^= 1
    if starts == 1:
        assert next_boot(store, NONCE, floor=last).counter > last  # no copy is left
    else:
        assert next_boot(store, NONCE).counter > last


def test_a_crash_at_any_step_never_makes_a_counter_come_twice(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        next_boot(DocumentStore(FOLDER, disk), NONCE)
        disk.sent = next_boot(DocumentStore(FOLDER, disk), NONCE).counter

    def act(disk) -> None:
        disk.sent = next_boot(DocumentStore(FOLDER, disk), NONCE).counter

    def check(disk) -> None:
        assert next_boot(DocumentStore(FOLDER, disk), NONCE).counter > disk.sent

    crash_everywhere(prepare, act, check)


def test_without_room_there_is_no_boot(store: DocumentStore, disk) -> None:
    next_boot(store, NONCE)
    disk.room = 10
    with pytest.raises(DiskFull):
        next_boot(store, NONCE)
    disk.room = None
    assert next_boot(store, NONCE).counter == 2


def test_a_nonce_has_eight_bytes(store: DocumentStore) -> None:
    with pytest.raises(ValueError, match="8 bytes, not 5"):
        next_boot(store, b"short")
