"""A document is the old one or the new one, whatever happens."""

from pathlib import Path

import pytest

from node.disk.documents import DOCUMENT_BYTES_MAX, DocumentDamaged, DocumentStore, Found
from node.disk.errors import DiskFailed, DiskFull

FOLDER = Path("/data")
LAST, OLD = FOLDER / "head.doc", FOLDER / "head.old"


@pytest.fixture
def store(disk) -> DocumentStore:
    disk.make_folder(FOLDER)
    disk.sync_folder(FOLDER)
    return DocumentStore(FOLDER, disk)


def test_what_was_put_last_is_what_is_there(store: DocumentStore) -> None:
    assert store.get("head") is None
    store.put("head", b"one")
    store.put("head", b"")
    store.put("other", b"\n\0two")
    assert store.find("head") == Found(b"", recovered=False)
    assert store.get("other") == b"\n\0two"
    assert store.names() == ["head", "other"]


def test_it_works_on_a_real_disk(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path)
    store.put("head", b"one")
    store.put("head", b"two")
    assert DocumentStore(tmp_path).get("head") == b"two"
    (tmp_path / "head.doc").write_bytes(b"garbage")
    assert DocumentStore(tmp_path).find("head") == Found(b"one", recovered=True)
    store.remove("head")
    assert list(tmp_path.iterdir()) == []


def test_putting_the_same_again_does_nothing(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    steps = disk.steps
    store.put("head", b"one")
    assert disk.steps == steps


def test_a_crash_at_any_step_leaves_the_old_or_the_new(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        disk.sync_folder(FOLDER)
        store = DocumentStore(FOLDER, disk)
        store.put("head", b"first")
        store.put("head", b"old")

    def act(disk) -> None:
        DocumentStore(FOLDER, disk).put("head", b"new")
        disk.done = True

    def check(disk) -> None:
        store = DocumentStore(FOLDER, disk)
        found = store.find("head")
        assert found in (Found(b"old", False), Found(b"new", False), Found(b"old", True))
        if getattr(disk, "done", False):
            assert found == Found(b"new", False)
        store.put("head", b"next")
        assert store.find("head") == Found(b"next", False)

    assert crash_everywhere(prepare, act, check) == 6


def test_a_crash_while_removing_never_brings_an_older_copy_back(crash_everywhere) -> None:
    def prepare(disk) -> None:
        disk.make_folder(FOLDER)
        disk.sync_folder(FOLDER)
        store = DocumentStore(FOLDER, disk)
        store.put("head", b"old")
        store.put("head", b"new")

    def act(disk) -> None:
        DocumentStore(FOLDER, disk).remove("head")

    def check(disk) -> None:
        found = DocumentStore(FOLDER, disk).find("head")
        assert found is None or found.data in (b"new", b"old")
        if found is not None and found.data == b"old":
            assert found.recovered

    crash_everywhere(prepare, act, check)


def test_a_flip_of_any_byte_falls_back_to_the_copy_before(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    store.put("head", b"two")
    good = bytes(disk.data(LAST))
    for place in range(len(good)):
        disk.data(LAST)[place] ^= 4
        assert store.find("head") == Found(b"one", recovered=True)
        disk.data(LAST)[:] = good
    assert store.find("head") == Found(b"two", recovered=False)


def test_a_cut_at_any_length_falls_back_to_the_copy_before(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    store.put("head", b"two")
    good = bytes(disk.data(LAST))
    for length in range(len(good)):
        disk.data(LAST)[:] = good[:length]
        assert store.find("head") == Found(b"one", recovered=True)


def test_a_damaged_copy_never_takes_the_place_of_a_good_older_one(store, disk) -> None:
    store.put("head", b"one")
    store.put("head", b"two")
    disk.data(LAST)[-1] ^= 1
    store.put("head", b"three")
    assert store.find("head") == Found(b"three", recovered=False)
    disk.data(LAST)[-1] ^= 1
    assert store.find("head") == Found(b"one", recovered=True)


def test_both_damaged_is_said_once_with_the_way_out(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    store.put("head", b"two")
    for path in (LAST, OLD):
        disk.data(path)[-1] ^= 1
    with pytest.raises(DocumentDamaged, match=r"'head'.*from the peers, or a backup") as caught:
        store.get("head")
    assert caught.value.name == "head"
    assert disk.files(FOLDER) == [Path("head.doc.bad"), Path("head.old.bad")]
    assert store.get("head") is None
    store.put("head", b"three")
    assert store.get("head") == b"three"


def test_a_file_under_another_documents_name_is_noticed(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    store.put("trust", b"two")
    disk.data(LAST)[:] = disk.data(FOLDER / "trust.doc")
    with pytest.raises(DocumentDamaged):
        store.get("head")


def test_a_full_disk_changes_nothing(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    disk.room = 200
    with pytest.raises(DiskFull, match="free space"):
        store.put("head", b"x" * 500)
    assert store.get("head") == b"one"
    assert disk.files(FOLDER) == [Path("head.doc")]


def test_a_disk_that_cannot_read_the_last_copy_gives_the_one_before(store, disk) -> None:
    store.put("head", b"one")
    store.put("head", b"two")
    disk.fail = {LAST}
    assert store.find("head") == Found(b"one", recovered=True)
    disk.fail = {LAST, OLD}
    with pytest.raises(DiskFailed):
        store.find("head")
    disk.fail = set()
    assert store.find("head") == Found(b"two", recovered=False)


def test_a_disk_that_cannot_write_changes_nothing(store: DocumentStore, disk) -> None:
    store.put("head", b"one")
    disk.fail = {LAST}
    with pytest.raises(DiskFailed):
        store.put("head", b"two")
    disk.fail = set()
    assert store.get("head") == b"one"


def test_a_damaged_document_on_a_disk_that_is_read_only_is_still_told(store, disk) -> None:
    store.put("head", b"one")
    disk.data(LAST)[-1] ^= 1
    disk.read_only = True
    with pytest.raises(DocumentDamaged):
        store.get("head")
    assert disk.files(FOLDER) == [Path("head.doc")]


@pytest.mark.parametrize("name", ["", "Head", "a/b", "..", "a.doc", "-a", "a" * 64, "a\n"])
def test_names_are_labels(store: DocumentStore, name: str) -> None:
    for call in (store.get, store.remove, lambda name: store.put(name, b"")):
        with pytest.raises(ValueError, match="cannot name a document"):
            call(name)


def test_too_large_a_document_is_refused(store: DocumentStore, disk) -> None:
    with pytest.raises(ValueError, match="too many"):
        store.put("head", bytes(DOCUMENT_BYTES_MAX + 1))
    store.put("head", b"one")
    disk.data(LAST).extend(bytes(DOCUMENT_BYTES_MAX + 200))
    with pytest.raises(DocumentDamaged):
        store.get("head")
