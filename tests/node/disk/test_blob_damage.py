"""What rots in a store of blobs is noticed, not handed on, and comes again."""

import pytest

from mesh.hashing import sha256
from node.disk.blobs import (
    BlobStore,
    ChunksMissing,
    ManifestContradicts,
    UnknownArtifact,
)
from node.disk.errors import DiskFailed
from tests.node.disk.artifacts import (
    CHUNK,
    CHUNKS,
    FOLDER,
    LARGE,
    MODEL,
    OTHER,
    SHARING,
    SIGNER,
    SMALL,
    artifact,
    fetch,
    good,
    opened,
    part,
    whole,
)


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
    left = {index for index in range(3) if there[index * CHUNK :].startswith(CHUNKS[index])}
    if again.held():  # its length is right: reading it tells
        assert [again.read_chunk(MODEL.digest, index) for index in range(4)] != CHUNKS
    assert again.held() == []
    assert again.begin(MODEL) == left | {3}
    fetch(again)
    assert good(again, disk)


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
    assert good(store, disk)


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
    assert store.read_chunk(MODEL.digest, 3) is None
    fetch(store)
    assert good(store, disk)


def test_a_file_that_the_disk_cannot_read_is_not_whole(store: BlobStore, disk) -> None:
    fetch(store)
    disk.fail = {whole(SMALL)}
    with pytest.raises(DiskFailed):
        store.read_chunk(MODEL.digest, 3)
    disk.fail = set()
    assert store.begin(MODEL) == {0, 1, 2, 3}
    fetch(store)
    assert opened(disk).held() == [MODEL.digest]


def test_a_damaged_manifest_makes_the_artifact_unknown_until_it_is_begun(store, disk) -> None:
    fetch(store)
    manifest = disk.data(part(0).with_name("manifest"))
    manifest[9] ^= 1
    again = opened(disk)
    assert again.held() == []
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
    assert opened(disk).held() == []


def test_a_manifest_that_contradicts_itself_is_the_releases_fault(store: BlobStore) -> None:
    wrong = artifact(SMALL, contradict=True)
    store.begin(wrong)
    store.write_chunk(wrong.digest, 0, SMALL)
    with pytest.raises(ManifestContradicts):
        store.finish(wrong.digest)
    assert store.held() == []


# ---- sharing ----------------------------------------------------------------


def test_a_file_that_two_artifacts_have_is_fetched_and_kept_once(store, disk) -> None:
    fetch(store)
    assert store.begin(SHARING) == {0, 1, 2}
    fetch(store, SHARING, (LARGE, OTHER))
    assert good(store, disk)
    assert good(store, disk, SHARING, (LARGE, OTHER))


def test_a_shared_file_that_is_damaged_is_mended_for_both(store: BlobStore, disk) -> None:
    fetch(store)
    fetch(store, SHARING, (LARGE, OTHER))
    disk.data(whole(LARGE))[3] ^= 1
    assert store.read_chunk(MODEL.digest, 0) is None
    assert store.held() == []
    fetch(store)
    assert store.held() == sorted([MODEL.digest, SHARING.digest])
    assert good(store, disk, SHARING, (LARGE, OTHER))


def test_a_part_that_somebody_removed_in_the_midst_of_a_fetch(store: BlobStore, disk) -> None:
    store.begin(MODEL)
    del disk.names_now[part(0)]
    with pytest.raises(UnknownArtifact, match="taken away"):
        store.write_chunk(MODEL.digest, 1, CHUNKS[1])
