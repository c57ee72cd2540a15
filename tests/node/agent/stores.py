"""Stores on a real folder whose disk refuses when it is told to, and batches to put there."""

import errno
import threading
from pathlib import Path

from mesh.journals.batches import Batch, BatchWriter
from mesh.journals.entries import make_entry
from mesh.journals.keys import LogKey
from node.agent.stores import Stores
from node.disk.blobs import BlobStore
from node.disk.documents import DocumentStore
from node.disk.errors import disk_error
from node.disk.files import Disk
from node.disk.journals import JournalStore
from tests.sim import identities


class StubbornDisk(Disk):
    """A real disk that says that it is full for paths with one of the words in `refuse` in them.
    `stuck`: it removes nothing. Until `well` is set it hangs."""

    def __init__(self) -> None:
        self.refuse: set[str] = set()
        self.refused = 0
        self.stuck = False
        self.well = threading.Event()
        self.well.set()

    def write(self, path: Path, handle: int, data: bytes, offset: int) -> None:
        self.well.wait()
        if any(word in str(path) for word in self.refuse):
            self.refused += 1
            raise disk_error(path, OSError(errno.ENOSPC, "No space left on device"))
        super().write(path, handle, data, offset)

    def unlink(self, path: Path) -> None:
        if self.stuck:
            raise disk_error(path, OSError(errno.EROFS, "Read-only file system"))
        super().unlink(path)


def make_stores(folder: Path, disk: Disk, own: str = "a") -> Stores:
    """The stores of a data folder."""
    for name in ("documents", "blobs", "journals"):
        (folder / name).mkdir(exist_ok=True)
    return Stores(
        DocumentStore(folder / "documents", disk),
        BlobStore(folder / "blobs", reserve_bytes=0, disk=disk),
        JournalStore(folder / "journals", 1 << 20, own, disk=disk),
    )


class Writer:
    """Batches of one log."""

    def __init__(self, node: str = "b", kind: str = "record", counter: int = 1) -> None:
        self.key = LogKey(node, counter, b"nonce---", kind)
        self._writer = BatchWriter(self.key, identities.signer(node))

    def batch(self, *events: str) -> Batch:
        """The next batch, of entries with these names."""
        entries = [make_entry(e, "s", "c", {}, unix_ms=5, monotonic_ms=5) for e in events]
        return self._writer.batch(entries)
