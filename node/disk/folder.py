"""The data folder: one daemon, one mesh, one node, one format.

- It belongs to this user alone (0700): it holds keys.
- Each daemon holds an exclusive lock on it for as long as it lives; the operating system lets go
  of the lock when the process dies, however it dies.
- The document `format` says which format the files have, and which mesh and node they are of. A
  folder of another mesh, or of a newer format, is refused before anything in it is touched.
"""

import fcntl
import json
import os
from pathlib import Path

from node.disk.documents import DocumentDamaged, DocumentStore
from node.disk.errors import DiskError, told_by_place
from node.disk.files import Disk, make_durable_folder

FORMAT = 1
"""Of the files in a data folder. Grows when an older daemon could not read what a newer wrote."""

_FORMAT_DOCUMENT = "format"
_HARMLESS_ENDINGS = (".lock", ".new")
_HARMLESS_NAMES = ("keys", "lost+found")
"""What may lie in a folder before its first start: an identity, and what a new disk brings."""


class FolderRefused(DiskError):
    """The data folder is not for this daemon. Nothing in it was changed."""


class DataFolder:
    """An open, locked data folder. Use it in a `with`, or call `close`."""

    def __init__(self, path: Path, *, daemon: str = "agent", disk: Disk | None = None) -> None:
        """Opens the folder, making it if need be.

        `daemon` names the lock: the agent and the runtime of a node share its folder. Raises
        FolderRefused, DiskFull, DiskFailed.
        """
        self.path = path
        self.disk = disk or Disk()
        _refuse_strangers(self.disk, path)
        _make_private(self.disk, path)
        self._lock = _locked(path / f"{daemon}.lock")
        try:
            self._root = DocumentStore(path, self.disk)
            self._belongs = self._opened_format()
            self.documents = DocumentStore(self.folder("documents"), self.disk)
        except BaseException:
            self.close()
            raise

    @property
    def mesh(self) -> str:
        """The mesh that the folder belongs to; empty before `claim`."""
        return self._belongs[0]

    @property
    def node(self) -> str:
        """The ID of the node (or master) that the folder belongs to; empty before `claim`."""
        return self._belongs[1]

    def claim(self, mesh: str, node: str) -> None:
        """Says once whose the folder is. Raises FolderRefused if it is another's."""
        if self._belongs == (mesh, node):
            return
        if self._belongs != ("", ""):
            raise FolderRefused(
                self.path,
                f"belongs to {self.node!r} of the mesh {self.mesh!r}, not to {node!r} of "
                f"{mesh!r}: give this one another folder with --data",
            )
        self._put_format(mesh, node)

    def folder(self, name: str) -> Path:
        """A folder of this name inside, made if need be."""
        path = self.path / name
        make_durable_folder(self.disk, path)
        return path

    def close(self) -> None:
        """Lets go of the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "DataFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened_format(self) -> tuple[str, str]:
        try:
            data = self._root.get(_FORMAT_DOCUMENT)
        except DocumentDamaged as damaged:
            raise FolderRefused(
                self.path,
                f"{damaged}. Put the file format.doc back from a backup, or enrol anew with an "
                "empty folder",
            ) from damaged
        if data is None:
            self._put_format("", "")
            return ("", "")
        content = json.loads(data)
        if content["format"] > FORMAT:
            raise FolderRefused(
                self.path,
                f"has format {content['format']}, this daemon knows {FORMAT}: run the newer "
                "version again, which wrote it",
            )
        return (content["mesh"], content["node"])

    def _put_format(self, mesh: str, node: str) -> None:
        content = {"format": FORMAT, "mesh": mesh, "node": node}
        self._root.put(_FORMAT_DOCUMENT, json.dumps(content, sort_keys=True).encode())
        self._belongs = (mesh, node)


def _make_private(disk: Disk, path: Path) -> None:
    if not path.is_dir():
        disk.make_folder(path)
        disk.sync_folder(path.parent)
    with told_by_place(path):
        mode = path.stat().st_mode
        if mode & 0o077:
            path.chmod(mode & 0o700)


def _refuse_strangers(disk: Disk, path: Path) -> None:
    """A folder with files in it and no format is somebody else's."""
    names = disk.names(path)
    if "format.doc" in names or "format.old" in names:
        return
    others = [
        name
        for name in names
        if not name.endswith(_HARMLESS_ENDINGS) and name not in _HARMLESS_NAMES
    ]
    if others:
        raise FolderRefused(
            path,
            f"is no data folder, and not empty ({others[0]!r}): give an empty or a new one "
            "with --data",
        )


def _locked(path: Path) -> int:
    with told_by_place(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise FolderRefused(
            path.parent,
            f"another daemon has it (process {holder or 'unknown'}): stop that one, or give this "
            "one another folder with --data",
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle
