"""Every byte is checked before it is kept and when it is used; what is bad comes again."""

import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import Artifact, FileHasher, open_manifest, seal
from mesh.hashing import sha256
from mesh.signed import Signer
from node.disk.blobs import (
    BlobStore,
    ChunkCorrupt,
    ChunksMissing,
    ManifestContradicts,
    UnknownArtifact,
)
from node.disk.errors import DiskFailed, DiskFull
from node.disk.small_blobs import SMALL_BLOB_BYTES_MAX
from protos.documents_pb2 import Manifest

FOLDER = Path("/blobs")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"r" * 32))
CHUNK = 64 * 1024
RESERVE = 1000

LARGE = random.Random(1).randbytes(2 * CHUNK + 100)
SMALL = random.Random(2).randbytes(500)
OTHER = random.Random(3).randbytes(CHUNK + 1)


def artifact(*contents: bytes, name: str = "faces", contradict: bool = False) -> Artifact:
    files = []
    for content in contents:
        hasher = FileHasher("data", CHUNK)
        hasher.feed(content)
        files.append(hasher.file())
    if contradict:
        files[0].digest = sha256(b"something else")
    manifest = Manifest(name=name, version="1", kind="data", chunk_bytes=CHUNK, files=files)
    return open_manifest(seal(manifest, SIGNER), [SIGNER.public_key])


MODEL = artifact(LARGE, SMALL)
CHUNKS = [LARGE[:CHUNK], LARGE[CHUNK : 2 * CHUNK], LARGE[2 * CHUNK :], SMALL]
SHARING = artifact(LARGE, OTHER, name="sharing")


def opened(disk) -> BlobStore:
    return BlobStore(FOLDER, reserve_bytes=RESERVE, disk=disk)


def fetch(store: BlobStore, what: Artifact = MODEL, contents=(LARGE, SMALL)) -> list[Path]:
    for index in sorted(set(range(len(what.chunks))) - store.begin(what)):
        chunk = what.chunks[index]
        data = contents[chunk.file][chunk.offset : chunk.offset + chunk.length]
        store.write_chunk(what.digest, index, data)
    return store.finish(what.digest)


def part(number: int, what: Artifact = MODEL) -> Path:
    return FOLDER / "artifacts" / what.digest.hex() / f"part.{number}"


def whole(content: bytes) -> Path:
    return FOLDER / "files" / sha256(content).hex()


@pytest.fixture
def store(disk) -> BlobStore:
    disk.make_folder(FOLDER)
    disk.settle()
    return opened(disk)


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
    assert store.begun() == [MODEL.digest]
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
        assert again.begun() == []
        assert again.begin(MODEL) == {0, 1, 2, 3}
        assert again.files(MODEL.digest) == paths
        assert again.verify(MODEL.digest)
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
    assert not BlobStore(tmp_path).verify(MODEL.digest)
    store.remove(MODEL.digest)
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == ["artifacts", "files", "small"]


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
    assert not store.verify(MODEL.digest)
    with pytest.raises(UnknownArtifact, match="not whole here"):
        store.files(MODEL.digest)


def test_nothing_is_known_of_what_was_not_begun(store: BlobStore, disk) -> None:
    for call in (store.flush, store.finish, store.files, store.verify):
        with pytest.raises(UnknownArtifact):
            call(MODEL.digest)
    assert store.read_chunk(MODEL.digest, 0) is None
    store.remove(MODEL.digest)
    store.begin(MODEL)
    with pytest.raises(UnknownArtifact, match="call begin"):
        opened(disk).write_chunk(MODEL.digest, 0, CHUNKS[0])


def test_a_fetch_goes_on_after_a_restart_with_what_is_good(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    for index in (0, 1, 3):
        store.write_chunk(MODEL.digest, index, CHUNKS[index])
    disk.data(part(0))[CHUNK] ^= 1
    again = opened(disk)
    assert again.begun() == [MODEL.digest]
    assert again.begin(MODEL) == {0, 3}
    fetch(again)
    assert again.verify(MODEL.digest)


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
        assert opened(disk).verify(MODEL.digest)
        assert [opened(disk).read_chunk(MODEL.digest, n) for n in range(4)] == CHUNKS

    assert crash_everywhere(prepare, act, check) > 20


def test_a_crash_while_removing_leaves_nothing_that_calls_itself_whole(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        fetch(opened(disk))
        fetch(opened(disk), SHARING, (LARGE, OTHER))

    def act(disk) -> None:
        opened(disk).remove(MODEL.digest)

    def check(disk) -> None:
        store = opened(disk)
        for digest in store.held():
            assert store.verify(digest)
        assert SHARING.digest in store.held()
        store.remove(MODEL.digest)
        assert not disk.size_at(whole(SMALL)) or MODEL.digest not in store.begun()

    crash_everywhere(prepare, act, check)


# ---- room --------------------------------------------------------------------------------


def test_room_is_reserved_before_the_first_byte_and_not_from_the_reserve(store, disk) -> None:
    before = disk.files(FOLDER)
    disk.room = MODEL.total_bytes + RESERVE + len(MODEL.envelope) - 1
    with pytest.raises(DiskFull, match="are kept for state and journals: free space"):
        store.begin(MODEL)
    assert disk.files(FOLDER) == before
    assert store.begun() == []
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


# ---- damage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda data: data.__setitem__(CHUNK + 5, data[CHUNK + 5] ^ 1), id="a flip"),
        pytest.param(lambda data: data.__delitem__(slice(CHUNK + 5, None)), id="a cut"),
        pytest.param(lambda data: data.extend(b"more"), id="more at the end"),
        pytest.param(lambda data: data.clear(), id="emptied"),
    ],
)
def test_damage_to_a_whole_file_is_noticed_and_mended(store, disk, harm) -> None:
    fetch(store)
    harm(disk.data(whole(LARGE)))
    again = opened(disk)
    there = bytes(disk.data(whole(LARGE)))
    good = {index for index in range(3) if there[index * CHUNK :].startswith(CHUNKS[index])}
    if again.held():
        assert not again.verify(MODEL.digest)
    assert again.held() == []
    assert again.begun() == [MODEL.digest]
    assert again.begin(MODEL) == good | {3}
    fetch(again)
    assert again.verify(MODEL.digest)


def test_a_rotten_chunk_is_not_handed_on_and_the_artifact_no_longer_whole(store, disk) -> None:
    fetch(store)
    disk.data(whole(LARGE))[CHUNK] ^= 1
    assert store.read_chunk(MODEL.digest, 0) == CHUNKS[0]
    assert store.held() == [MODEL.digest]
    assert store.read_chunk(MODEL.digest, 1) is None
    assert store.held() == []
    assert store.damaged == 1
    assert store.begin(MODEL) == {0, 2, 3}
    fetch(store)
    assert store.read_chunk(MODEL.digest, 1) == CHUNKS[1]


def test_a_chunk_that_rots_before_the_end_of_the_fetch_comes_again(store, disk) -> None:
    store.begin(MODEL)
    for index in range(4):
        store.write_chunk(MODEL.digest, index, CHUNKS[index])
    disk.data(part(0))[2 * CHUNK] ^= 1
    with pytest.raises(ChunksMissing) as caught:
        store.finish(MODEL.digest)
    assert caught.value.chunks == (2,)
    fetch(store)
    assert store.verify(MODEL.digest)


def test_a_chunk_that_rots_in_a_part_is_not_handed_on(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 0, CHUNKS[0])
    disk.data(part(0))[7] ^= 1
    assert store.read_chunk(MODEL.digest, 0) is None
    assert store.begin(MODEL) == set()


def test_a_file_that_somebody_removed_comes_again(store: BlobStore, disk) -> None:
    fetch(store)
    del disk.names_now[whole(SMALL)]
    assert store.held() == []
    with pytest.raises(ChunksMissing) as caught:
        store.finish(MODEL.digest)
    assert caught.value.chunks == (3,)
    assert store.begin(MODEL) == {0, 1, 2}
    fetch(store)
    del disk.names_now[whole(SMALL)]
    assert not store.verify(MODEL.digest)
    assert store.read_chunk(MODEL.digest, 3) is None
    fetch(store)
    assert store.verify(MODEL.digest)


def test_a_file_that_the_disk_cannot_read_is_not_whole(store: BlobStore, disk) -> None:
    fetch(store)
    disk.fail = {whole(SMALL)}
    with pytest.raises(DiskFailed):
        store.verify(MODEL.digest)
    assert store.held() == []
    disk.fail = set()
    assert store.begin(MODEL) == {0, 1, 2, 3}
    fetch(store)
    assert opened(disk).held() == [MODEL.digest]


def test_a_damaged_manifest_makes_the_artifact_unknown_until_it_is_begun(store, disk) -> None:
    fetch(store)
    manifest = disk.data(part(0).with_name("manifest"))
    manifest[9] ^= 1
    again = opened(disk)
    assert again.held() == again.begun() == []
    assert len(again.begin(MODEL)) == 4
    fetch(again)
    assert opened(disk).held() == [MODEL.digest]


@pytest.mark.parametrize(
    "envelope", [b"no envelope", SIGNER.sign("register", b""), SIGNER.sign("manifest", b"\xff")]
)
def test_what_is_no_manifest_in_a_folder_of_its_name_is_left_alone(store, disk, envelope) -> None:
    folder = FOLDER / "artifacts" / sha256(envelope).hex()
    disk.make_folder(folder)
    path = folder / "manifest"
    disk.write(path, disk.create(path), envelope, 0)
    disk.make_folder(FOLDER / "artifacts" / "notes")
    assert opened(disk).begun() == []


def test_a_manifest_that_contradicts_itself_is_the_releases_fault(store: BlobStore) -> None:
    wrong = artifact(SMALL, contradict=True)
    store.begin(wrong)
    store.write_chunk(wrong.digest, 0, SMALL)
    with pytest.raises(ManifestContradicts):
        store.finish(wrong.digest)
    assert store.held() == []


# ---- sharing and removing ----------------------------------------------------------------


def test_a_file_that_two_artifacts_have_is_fetched_and_kept_once(store, disk) -> None:
    fetch(store)
    assert store.begin(SHARING) == {0, 1, 2}
    fetch(store, SHARING, (LARGE, OTHER))
    store.remove(MODEL.digest)
    assert store.held() == [SHARING.digest]
    assert store.verify(SHARING.digest)
    assert disk.size_at(whole(SMALL)) is None
    store.remove(SHARING.digest)
    assert disk.files(FOLDER) == []
    assert opened(disk).begun() == []


def test_a_shared_file_that_is_damaged_is_mended_for_both(store: BlobStore, disk) -> None:
    fetch(store)
    fetch(store, SHARING, (LARGE, OTHER))
    disk.data(whole(LARGE))[3] ^= 1
    assert not store.verify(MODEL.digest)
    assert store.held() == []
    fetch(store)
    assert store.held() == sorted([MODEL.digest, SHARING.digest])
    assert store.verify(SHARING.digest)


def test_a_fetch_that_is_removed_in_its_midst_leaves_nothing(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    store.write_chunk(MODEL.digest, 0, CHUNKS[0])
    store.remove(MODEL.digest)
    assert disk.files(FOLDER) == []
    with pytest.raises(UnknownArtifact):
        store.write_chunk(MODEL.digest, 1, CHUNKS[1])
    fetch(store)
