"""Whose data folder it is, and who may open it."""

import stat
from pathlib import Path

import pytest

from node.disk.documents import DocumentStore
from node.disk.errors import DiskFailed
from node.disk.folder import DataFolder, FolderRefused


def test_a_new_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "meshd"
    with DataFolder(path) as folder:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert (folder.mesh, folder.node) == ("", "")
        assert folder.folder("blobs").is_dir()
        folder.documents.put("head", b"one")
    with DataFolder(path) as folder:
        assert folder.documents.get("head") == b"one"


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    with DataFolder(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_it_remembers_whose_it_is(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data") as folder:
        folder.claim("acme", "north-1")
        folder.claim("acme", "north-1")
    with DataFolder(tmp_path / "data") as folder:
        assert (folder.mesh, folder.node) == ("acme", "north-1")


@pytest.mark.parametrize(
    ("mesh", "node"),
    [
        pytest.param("globex", "north-1", id="another mesh"),
        pytest.param("acme", "north-2", id="another node"),
    ],
)
def test_a_folder_of_another_is_refused(tmp_path: Path, mesh: str, node: str) -> None:
    with DataFolder(tmp_path) as folder:
        folder.claim("acme", "north-1")
    with DataFolder(tmp_path) as folder:
        with pytest.raises(FolderRefused, match=r"'north-1' of the mesh 'acme'.*--data"):
            folder.claim(mesh, node)
        assert (folder.mesh, folder.node) == ("acme", "north-1")


def test_two_daemons_on_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path),
        pytest.raises(FolderRefused, match=r"another daemon has it \(process \d+\): stop that one"),
    ):
        DataFolder(tmp_path)
    DataFolder(tmp_path).close()


def test_agent_and_runtime_share_a_folder(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as one, DataFolder(tmp_path, daemon="runtime") as other:
        assert one.path == other.path


def test_a_newer_format_is_refused_untouched(tmp_path: Path) -> None:
    DataFolder(tmp_path).close()
    newer = b'{"format": 2, "mesh": "acme", "node": "north-1", "more": 1}'
    DocumentStore(tmp_path).put("format", newer)
    before = (tmp_path / "format.doc").read_bytes()
    with pytest.raises(FolderRefused, match="has format 2, this daemon knows 1: run the newer"):
        DataFolder(tmp_path)
    assert (tmp_path / "format.doc").read_bytes() == before
    assert DocumentStore(tmp_path).get("format") == newer


def test_somebody_elses_folder_is_refused_untouched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FolderRefused, match=r"not empty \('thesis.txt'\)"):
        DataFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_flipped_bit_in_the_format_does_not_stop_a_boot(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        folder.claim("acme", "north-1")
    content = bytearray((tmp_path / "format.doc").read_bytes())
    content[-1] ^= 1
    (tmp_path / "format.doc").write_bytes(content)
    with DataFolder(tmp_path) as folder:
        folder.claim("acme", "north-1")
    with DataFolder(tmp_path) as folder:
        assert folder.node == "north-1"


def test_a_format_beyond_repair_is_refused_with_the_way_out(tmp_path: Path) -> None:
    DataFolder(tmp_path).close()
    (tmp_path / "format.doc").write_bytes(b"")
    with pytest.raises(FolderRefused, match="from a backup, or enrol anew"):
        DataFolder(tmp_path)
    with pytest.raises(FolderRefused, match="is no data folder"):
        DataFolder(tmp_path)  # it never starts as if it were new


def test_a_folder_with_an_identity_in_it_is_taken(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with DataFolder(tmp_path) as folder:
        assert (folder.path, folder.node) == (tmp_path, "")


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(DiskFailed, match="check the disk"):
        DataFolder(tmp_path / "data")
