"""An artifact that is removed is whole or gone, whatever stops the removal."""

import pytest

from node.disk.blobs import BlobStore, UnknownArtifact
from node.disk.errors import DiskFailed
from tests.node.disk.artifacts import (
    CHUNKS,
    FOLDER,
    LARGE,
    MODEL,
    OTHER,
    RESERVE,
    SHARING,
    SMALL,
    fetch,
    good,
    opened,
    part,
    whole,
)


def test_what_is_removed_is_gone_and_can_come_again(store: BlobStore, disk) -> None:
    before = disk.files(FOLDER)
    fetch(store)
    assert store.envelopes() == {MODEL.digest: MODEL.envelope}
    freed = store.remove(MODEL.digest)
    assert freed == MODEL.total_bytes + len(MODEL.envelope)
    assert disk.files(FOLDER) == before
    assert (store.held(), store.envelopes()) == ([], {})
    assert store.read_chunk(MODEL.digest, 0) is None
    with pytest.raises(UnknownArtifact):
        store.files(MODEL.digest)
    fetch(store)
    assert good(store, disk)


def test_what_was_fetched_in_part_is_removed_with_its_parts(store: BlobStore, disk) -> None:
    before = disk.files(FOLDER)
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 0, CHUNKS[0])
    assert opened(disk).envelopes() == {MODEL.digest: MODEL.envelope}
    assert store.remove(MODEL.digest) == MODEL.total_bytes + len(MODEL.envelope)
    assert disk.files(FOLDER) == before
    with pytest.raises(UnknownArtifact):
        store.write_chunk(MODEL.digest, 1, CHUNKS[1])


def test_files_that_another_artifact_has_stay(store: BlobStore, disk) -> None:
    fetch(store)
    fetch(store, SHARING, (LARGE, OTHER))
    assert store.remove(SHARING.digest) == len(OTHER) + len(SHARING.envelope)
    assert good(store, disk)
    assert disk.size_at(whole(OTHER)) is None
    store.begin(SHARING)  # it counts on the file that it shares
    store.remove(MODEL.digest)
    assert disk.size_at(whole(LARGE)) == len(LARGE)
    assert disk.size_at(whole(SMALL)) is None
    fetch(store, SHARING, (LARGE, OTHER))
    assert good(store, disk, SHARING, (LARGE, OTHER))


def test_removing_what_is_not_here_does_nothing(store: BlobStore, disk) -> None:
    steps = disk.steps
    assert store.remove(MODEL.digest) == 0
    assert disk.steps == steps


def test_a_disk_that_refuses_leaves_something_that_can_be_removed_later(store, disk) -> None:
    before = disk.files(FOLDER)
    fetch(store)
    disk.fail = {FOLDER / "files"}
    with pytest.raises(DiskFailed):
        store.remove(MODEL.digest)
    assert store.held() == []
    disk.fail = set()
    assert store.remove(MODEL.digest) > 0
    assert disk.files(FOLDER) == before


def test_a_crash_at_any_step_leaves_it_whole_or_gone(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        store = opened(disk)
        disk.empty = disk.files(FOLDER)
        fetch(store)
        fetch(store, SHARING, (LARGE, OTHER))
        disk.removed = False

    def act(disk) -> None:
        opened(disk).remove(MODEL.digest)
        disk.removed = True

    def check(disk) -> None:
        store = opened(disk)
        if MODEL.digest in store.held():
            assert not disk.removed
            assert good(store, disk)
        assert good(store, disk, SHARING, (LARGE, OTHER)), "it shares a file and stays"
        for digest in list(store.envelopes()):
            store.remove(digest)
        assert disk.files(FOLDER) == disk.empty, "nothing is left that nobody knows of"
        again = opened(disk)
        fetch(again)
        assert good(again, disk)

    assert crash_everywhere(prepare, act, check) > 8


def test_a_crash_while_what_was_fetched_in_part_is_removed_leaves_nothing_unknown(
    crash_everywhere,
) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        store = opened(disk)
        disk.empty = disk.files(FOLDER)
        store.begin(MODEL)
        store.write_chunk(MODEL.digest, 0, CHUNKS[0])

    def act(disk) -> None:
        opened(disk).remove(MODEL.digest)

    def check(disk) -> None:
        store = opened(disk)
        for digest in list(store.envelopes()):
            store.remove(digest)
        assert disk.files(FOLDER) == disk.empty

    assert crash_everywhere(prepare, act, check) > 6


def test_the_disk_is_short_of_room_below_its_reserve(store: BlobStore, disk) -> None:
    disk.claims_free = RESERVE
    assert not store.is_short()
    disk.claims_free = RESERVE - 1
    assert store.is_short()


def test_a_damaged_part_of_it_does_not_stop_a_removal(store: BlobStore, disk) -> None:
    fetch(store)
    del disk.names_now[whole(SMALL)]
    assert store.remove(MODEL.digest) == len(LARGE) + len(MODEL.envelope)
    assert disk.size_at(part(0).with_name("manifest")) is None
