"""Every byte is checked before it is kept and when it is used; what is bad comes again."""

from pathlib import Path

import pytest

from mesh.hashing import sha256
from node.disk.blobs import (
    BlobStore,
    ChunkCorrupt,
    ChunksMissing,
    UnknownArtifact,
)
from node.disk.errors import DiskFailed, DiskFull
from node.disk.small_blobs import SMALL_BLOB_BYTES_MAX
from tests.node.disk.artifacts import (
    CHUNK,
    CHUNKS,
    FOLDER,
    LARGE,
    MODEL,
    RESERVE,
    SMALL,
    fetch,
    good,
    opened,
    part,
    whole,
)

# ---- small blobs -------------------------------------------------------------------------


def test_a_small_blob_is_named_by_its_digest(store: BlobStore, disk) -> None:
    digest = store.put(b"branch")
    assert digest == sha256(b"branch") == store.put(b"branch")
    assert opened(disk).get(digest) == b"branch"
    assert opened(disk).has(digest)
    assert store.sizes() == {digest: 6}
    store.discard(digest)
    store.discard(digest)
    assert store.get(digest) is None
    assert not store.has(digest)
    assert store.sizes() == {}


def test_a_small_blob_that_was_altered_is_not_there(store: BlobStore, disk) -> None:
    digest = store.put(b"branch")
    disk.data(FOLDER / "small" / digest.hex())[0] ^= 1
    assert store.get(digest) is None
    assert store.damaged == 1
    assert store.get(digest) is None
    assert store.damaged == 1
    store.put(b"branch")
    assert store.get(digest) == b"branch"


def test_a_small_blob_that_was_cut_is_mended_by_putting_it_again(store: BlobStore, disk) -> None:
    digest = store.put(b"branch")
    del disk.data(FOLDER / "small" / digest.hex())[2:]
    assert store.put(b"branch") == digest
    assert store.get(digest) == b"branch"


def test_too_large_a_small_blob_is_refused(store: BlobStore) -> None:
    with pytest.raises(ValueError, match="at most"):
        store.put(bytes(SMALL_BLOB_BYTES_MAX + 1))


def test_a_crash_while_putting_a_small_blob(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        opened(disk)

    def act(disk) -> None:
        opened(disk).put(b"branch")

    def check(disk) -> None:
        assert opened(disk).get(sha256(b"branch")) in (None, b"branch")
        assert opened(disk).damaged == 0
        opened(disk).put(b"branch")
        assert opened(disk).get(sha256(b"branch")) == b"branch"

    crash_everywhere(prepare, act, check)


# ---- fetching ----------------------------------------------------------------------------


def test_an_artifact_is_fetched_finished_and_read(store: BlobStore, disk) -> None:
    assert store.begin(MODEL) == set()
    assert store.held() == []
    written = [store.write_chunk(MODEL.digest, index, CHUNKS[index]) for index in (3, 0, 2, 1)]
    assert written == [500, CHUNK + 500, CHUNK + 600, 2 * CHUNK + 600]
    assert store.write_chunk(MODEL.digest, 1, CHUNKS[1]) == 2 * CHUNK + 600
    store.flush(MODEL.digest)
    paths = store.finish(MODEL.digest)
    assert paths == store.finish(MODEL.digest) == store.files(MODEL.digest)
    assert paths == [whole(LARGE), whole(SMALL)]
    assert [bytes(disk.data(path)) for path in paths] == [LARGE, SMALL]
    for again in (store, opened(disk)):
        assert again.held() == [MODEL.digest]
        assert again.begin(MODEL) == {0, 1, 2, 3}
        assert again.files(MODEL.digest) == paths
        assert [again.read_chunk(MODEL.digest, index) for index in range(4)] == CHUNKS


def test_it_works_on_a_real_disk(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 1, CHUNKS[1])
    store.flush(MODEL.digest)
    store = BlobStore(tmp_path)
    assert store.begin(MODEL) == {1}
    paths = fetch(store)
    assert [path.read_bytes() for path in paths] == [LARGE, SMALL]
    paths[1].write_bytes(b"changed")
    assert BlobStore(tmp_path).held() == []


@pytest.mark.parametrize(
    ("index", "data"),
    [
        pytest.param(0, CHUNKS[1], id="another chunk"),
        pytest.param(0, CHUNKS[0][:-1], id="too short"),
        pytest.param(0, CHUNKS[0] + b"x", id="too long"),
        pytest.param(0, b"", id="nothing"),
        pytest.param(4, CHUNKS[0], id="an index that there is not"),
        pytest.param(-1, CHUNKS[3], id="an index below zero"),
    ],
)
def test_bytes_that_are_not_the_chunk_are_never_written(store, disk, index, data) -> None:
    store.begin(MODEL)
    steps = disk.steps
    with pytest.raises(ChunkCorrupt):
        store.write_chunk(MODEL.digest, index, data)
    assert disk.steps == steps
    assert store.read_chunk(MODEL.digest, 0) is None


def test_what_is_not_whole_is_not_finished(store: BlobStore) -> None:
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 1, CHUNKS[1])
    with pytest.raises(ChunksMissing, match="3 chunks are missing, the first is 0") as caught:
        store.finish(MODEL.digest)
    assert caught.value.chunks == (0, 2, 3)
    assert store.held() == []
    with pytest.raises(UnknownArtifact, match="not whole here"):
        store.files(MODEL.digest)


def test_nothing_is_known_of_what_was_not_begun(store: BlobStore, disk) -> None:
    for call in (store.flush, store.finish, store.files):
        with pytest.raises(UnknownArtifact):
            call(MODEL.digest)
    assert store.read_chunk(MODEL.digest, 0) is None
    store.begin(MODEL)
    with pytest.raises(UnknownArtifact, match="call begin"):
        opened(disk).write_chunk(MODEL.digest, 0, CHUNKS[0])


def test_a_fetch_goes_on_after_a_restart_with_what_is_good(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    for index in (0, 1, 3):
        store.write_chunk(MODEL.digest, index, CHUNKS[index])
    disk.data(part(0))[CHUNK] ^= 1
    again = opened(disk)
    assert again.begin(MODEL) == {0, 3}
    fetch(again)
    assert good(again, disk)


def test_begin_in_the_midst_of_a_fetch_changes_nothing(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 1, CHUNKS[1])
    steps = disk.steps
    assert store.begin(MODEL) == {1}
    assert disk.steps == steps


def test_a_crash_at_any_step_of_a_fetch_keeps_what_was_flushed(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        opened(disk)
        disk.flushed, disk.finished = set(), False

    def act(disk) -> None:
        store = opened(disk)
        store.begin(MODEL)
        for index in (0, 3):
            store.write_chunk(MODEL.digest, index, CHUNKS[index])
        store.flush(MODEL.digest)
        disk.flushed = {0, 3}
        fetch(store)
        disk.finished = True

    def check(disk) -> None:
        store = opened(disk)
        assert store.held() == ([MODEL.digest] if disk.finished else store.held())
        assert store.begin(MODEL) >= disk.flushed
        fetch(store)
        assert store.damaged == 0
        assert good(opened(disk), disk)
        assert [opened(disk).read_chunk(MODEL.digest, n) for n in range(4)] == CHUNKS

    assert crash_everywhere(prepare, act, check) > 20


# ---- room --------------------------------------------------------------------------------


def test_room_is_reserved_before_the_first_byte_and_not_from_the_reserve(store, disk) -> None:
    before = disk.files(FOLDER)
    disk.room = MODEL.total_bytes + RESERVE + len(MODEL.envelope) - 1
    with pytest.raises(DiskFull, match="are kept for state and journals: free space"):
        store.begin(MODEL)
    assert disk.files(FOLDER) == before
    assert store.held() == []
    disk.room += 1
    store.begin(MODEL)
    disk.room -= RESERVE  # state has filled its part: the fetch does not notice
    fetch(store)


def test_a_disk_that_fills_up_while_reserving_is_left_as_it_was(store, disk) -> None:
    before = disk.files(FOLDER)
    disk.room, disk.claims_free = 2 * CHUNK, 1 << 40
    with pytest.raises(DiskFull, match="no room"):
        store.begin(MODEL)
    assert disk.files(FOLDER) == before
    disk.room = None
    fetch(store)


def test_an_artifact_that_is_held_costs_no_room(store: BlobStore, disk) -> None:
    fetch(store)
    disk.room = 0
    assert len(store.begin(MODEL)) == 4
    assert len(opened(disk).begin(MODEL)) == 4


def test_a_failing_disk_leaves_a_begun_fetch_as_it_was(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 0, CHUNKS[0])
    disk.fail = {part(0)}
    with pytest.raises(DiskFailed):
        store.flush(MODEL.digest)
    with pytest.raises(DiskFailed):
        store.write_chunk(MODEL.digest, 1, CHUNKS[1])
    disk.fail = set()
    assert store.write_chunk(MODEL.digest, 0, CHUNKS[0]) == CHUNK  # not flushed yet
    disk.fail = {part(0)}
    with pytest.raises(DiskFailed):
        opened(disk).begin(MODEL)
    disk.fail = set()
    assert opened(disk).begin(MODEL) == {0}
