"""Small named documents that survive crashes, power cuts and flipped bits.

A document is two files: NAME.doc, the last one put, and NAME.old, the one before it. Each starts
with a line that a person can read, `meshd-document 1 SHA256 LENGTH`; the digest covers the name
too, so that files that were swapped are noticed. Putting:

    write NAME.doc.new, sync; NAME.doc becomes NAME.old; NAME.doc.new becomes NAME.doc; sync folder

A crash at any step leaves the old document or the new one (where NAME.doc is missing, a whole
NAME.doc.new takes its place). A NAME.doc that was damaged later is moved aside (*.bad), NAME.old
answers instead, and `recovered` says so: it is older than what was put last, and its reader must
know. Both damaged: DocumentDamaged, once; after that there is no document.

Safe to use from several threads.
"""

import hashlib
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.disk.errors import Damaged, DiskError, DiskFailed
from node.disk.files import Disk, read_whole, write_new

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""A document is held in memory whole. Heads, a site's branch, remembered peers and
acknowledgements need up to 2 MiB."""

_HEADER_BYTES_MAX = 128
_MAGIC = b"meshd-document"
_FORMAT = b"1"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class DocumentDamaged(Damaged):
    """Both copies of a document are damaged, and were moved aside. Its name is `name`."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(
            path,
            f"the document {name!r} and the copy before it are damaged; they are kept as *.bad. "
            "What is in it must come from elsewhere: from the peers, or a backup of this folder",
        )
        self.name = name


@dataclass(frozen=True, slots=True)
class Found:
    """A document. `recovered`: from the copy before the last one, which is damaged or missing."""

    data: bytes
    recovered: bool


class DocumentStore:
    """The documents of one folder, which exists."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._lock = threading.Lock()

    def put(self, name: str, data: bytes) -> None:
        """Replaces the document; durable when this returns. Does nothing if it is the same.

        Raises ValueError (a bad name, more than DOCUMENT_BYTES_MAX), DiskFull, DiskFailed: the
        document is then what it was.
        """
        if len(data) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"document {name!r}: {len(data)} bytes are too many")
        last, old = self._paths(name)
        with self._lock:
            try:
                current = self._read(last, name)
            except DiskFailed:
                current = None
            if current == data:
                return
            new = write_new(self._disk, last, _framed(name, data))
            if current is not None:
                self._disk.rename(last, old)  # only a good copy may take the older one's place
            elif self._disk.size_at(last) is not None:
                self._disk.rename(last, _aside(last))
            self._disk.rename(new, last)
            self._disk.sync_folder(self._folder)

    def get(self, name: str) -> bytes | None:
        """The document, None if there is none. Raises DocumentDamaged, DiskFailed."""
        found = self.find(name)
        return None if found is None else found.data

    def find(self, name: str) -> Found | None:
        """Like `get`, and says whether it is an older copy."""
        last, old = self._paths(name)
        with self._lock:
            if self._disk.size_at(last) is None:
                self._finish_put(last, name)
            failures: list[DiskFailed] = []
            for path in (last, old):
                try:
                    data = self._read(path, name)
                except DiskFailed as failure:
                    failures.append(failure)
                    continue
                if data is not None:
                    return Found(data, recovered=path == old)
            if failures:
                raise failures[0]
            there = [path for path in (last, old) if self._disk.size_at(path) is not None]
            for path in there:
                self._move_aside(path)
        if there:
            raise DocumentDamaged(there[0], name)
        return None

    def remove(self, name: str) -> None:
        """Removes the document, with its older copy; durable when this returns."""
        last, old = self._paths(name)
        with self._lock:
            self._disk.unlink(old)  # first: a crash in between must not bring it back
            self._disk.unlink(last)
            self._disk.sync_folder(self._folder)

    def names(self) -> list[str]:
        """All documents, sorted; some may turn out to be damaged."""
        files = (Path(name) for name in self._disk.names(self._folder))
        return sorted({file.stem for file in files if file.suffix in (".doc", ".old")})

    def _paths(self, name: str) -> tuple[Path, Path]:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} cannot name a document: a-z, 0-9 and '-', at most 63")
        return self._folder / f"{name}.doc", self._folder / f"{name}.old"

    def _read(self, path: Path, name: str) -> bytes | None:
        """The document in the file, None if there is no file or it is damaged."""
        framed = read_whole(self._disk, path, DOCUMENT_BYTES_MAX + _HEADER_BYTES_MAX)
        if framed is None:
            return None
        header, _, data = framed.partition(b"\n")
        return data if header + b"\n" == _header(name, data) else None

    def _finish_put(self, last: Path, name: str) -> None:
        """Completes a put that was cut off between its two renames."""
        new = last.with_name(last.name + ".new")
        if self._read(new, name) is not None:
            self._disk.rename(new, last)
            self._disk.sync_folder(self._folder)

    def _move_aside(self, path: Path) -> None:
        """Keeps the damaged file for people; a disk that refuses even that changes nothing."""
        with suppress(DiskError):
            self._disk.rename(path, _aside(path))


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".bad")


def _framed(name: str, data: bytes) -> bytes:
    return _header(name, data) + data


def _header(name: str, data: bytes) -> bytes:
    digest = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()
    return b"%b %b %b %d\n" % (_MAGIC, _FORMAT, digest.encode(), len(data))
