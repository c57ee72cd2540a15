"""Small blobs: branches, manifests. A file each, named by the SHA-256 of its bytes.

The name is the checksum: what is read is hashed again, and what does not fit its name is moved
aside and counted, and is then simply not there. Safe to use from several threads.
"""

import re
import threading
from contextlib import suppress
from pathlib import Path

from mesh.hashing import sha256
from node.disk.errors import DiskError
from node.disk.files import Disk, read_whole, replace_file

SMALL_BLOB_BYTES_MAX = 256 * 1024
"""What a control frame can carry. Longer files are none of ours and are not read."""

HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


class SmallBlobs:
    """The small blobs in one folder, which exists."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._lock = threading.Lock()
        self.damaged = 0
        """How many were found to be other bytes than their name says."""

    def put(self, data: bytes) -> bytes:
        """Keeps the blob durably and gives its digest. Raises ValueError for one that is too
        large, DiskFull, DiskFailed."""
        if len(data) > SMALL_BLOB_BYTES_MAX:
            raise ValueError(f"a blob of {len(data)} bytes; at most {SMALL_BLOB_BYTES_MAX}")
        digest = sha256(data)
        with self._lock:
            if self._read(digest) is None:
                replace_file(self._disk, self._path(digest), data)
        return digest

    def get(self, digest: bytes) -> bytes | None:
        """The blob, None if it is not here (any more). Raises DiskFailed."""
        with self._lock:
            return self._read(digest)

    def has(self, digest: bytes) -> bool:
        """Whether there is a file for it; its bytes are checked when it is read."""
        return self._disk.size_at(self._path(digest)) is not None

    def sizes(self) -> dict[bytes, int]:
        """All blobs with their lengths in bytes."""
        result: dict[bytes, int] = {}
        for name in self._disk.names(self._folder):
            size = self._disk.size_at(self._folder / name)
            if HEX_DIGEST.fullmatch(name) and size is not None:
                result[bytes.fromhex(name)] = size
        return result

    def discard(self, digest: bytes) -> None:
        """Removes the blob; nothing happens where there is none."""
        with self._lock:
            self._disk.unlink(self._path(digest))

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def _read(self, digest: bytes) -> bytes | None:
        path = self._path(digest)
        data = read_whole(self._disk, path, SMALL_BLOB_BYTES_MAX)
        if data is not None and sha256(data) == digest:
            return data
        if self._disk.size_at(path) is not None:
            self.damaged += 1
            with suppress(DiskError):
                self._disk.rename(path, path.with_name("damaged"))  # the last one, for people
        return None
