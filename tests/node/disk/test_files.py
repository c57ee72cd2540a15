"""The operating system's disk: its errors in our words, and what its steps do."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from node.disk.errors import DiskFailed, DiskFull
from node.disk.files import Disk, make_durable_folder, read_whole, replace_file, write_new

DISK = Disk()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    replace_file(DISK, tmp_path / "a", b"one")
    replace_file(DISK, tmp_path / "a", b"two")
    assert read_whole(DISK, tmp_path / "a", 10) == b"two"
    assert DISK.names(tmp_path) == ["a"]


def test_nothing_is_read_that_is_too_long_or_not_there(tmp_path: Path) -> None:
    replace_file(DISK, tmp_path / "a", b"eleven byte")
    assert read_whole(DISK, tmp_path / "a", 10) is None
    assert read_whole(DISK, tmp_path / "b", 10) is None
    assert DISK.size_at(tmp_path / "a") == 11
    assert DISK.size_at(tmp_path / "a" / "below") is None
    assert DISK.size_at(tmp_path) is None
    assert DISK.names(tmp_path / "none") == []


def test_reading_and_writing_at_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with DISK.created(path) as handle:
        DISK.allocate(path, handle, 8)
        assert DISK.size(handle) == 8
        DISK.write(path, handle, b"xyz", 4)
        DISK.sync(path, handle)
        assert DISK.read(path, handle, 100, 3) == b"\0xyz\0"
        DISK.truncate(path, handle, 5)
    with DISK.opened(path, writing=True) as handle:
        assert DISK.read(path, handle, 5, 0) == b"\0\0\0\0x"


def test_names_come_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_durable_folder(DISK, folder)
    DISK.close(DISK.create(folder / "a"))
    DISK.rename(folder / "a", folder / "b")
    with pytest.raises(DiskFailed):
        DISK.remove_folder(folder)
    for _ in range(2):
        DISK.unlink(folder / "b")
    for _ in range(2):
        DISK.remove_folder(folder)
    assert DISK.names(tmp_path) == []
    assert DISK.free_bytes(tmp_path) > 0
    with pytest.raises(FileNotFoundError):
        DISK.open(folder)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for call in (DISK.open, DISK.create):
        with pytest.raises(DiskFailed):
            call(tmp_path / "link")
    assert (tmp_path / "target").read_bytes() == b"secret"
    assert DISK.size_at(tmp_path / "link") is None


def test_a_full_device_is_told_as_full() -> None:
    path = Path("/dev/full")
    handle = os.open(path, os.O_RDWR)
    with pytest.raises(DiskFull, match="No space left on device"):
        DISK.write(path, handle, b"x", 0)
    DISK.close(handle)


def test_what_could_not_be_written_is_not_left_behind(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from node.disk.files import Disk, write_new\n"
        "from node.disk.errors import DiskFull\n"
        "try: write_new(Disk(), pathlib.Path(sys.argv[1]), bytes(1 << 20))\n"
        "except DiskFull: print('full')\n"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        preexec_fn=limited, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout == "full\n"
    assert list(tmp_path.iterdir()) == []
    assert write_new(DISK, tmp_path / "a", b"").name == "a.new"
