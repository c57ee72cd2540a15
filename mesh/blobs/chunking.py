"""How a file becomes chunks: their size, and their digests, from bytes that the caller reads."""

import hashlib

from mesh.blobs.limits import CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNKS_AIMED_AT, CHUNKS_MAX
from protos.documents_pb2 import ManifestFile

ARTIFACT_BYTES_MAX = CHUNKS_MAX * CHUNK_BYTES_MAX
"""Bytes of an artifact at most (5 GiB), if it is one file; each further file may cost one chunk."""


def chunk_bytes_for(total: int) -> int:
    """The chunk size, in bytes, for an artifact of `total` bytes: a power of two.

    Small chunks waste little when one is fetched twice or arrives corrupt; large ones cost fewer
    messages and a smaller manifest. So: as small as 64 KiB while that makes at most 256 chunks
    (up to 16 MiB), then doubling with the artifact (32 MiB: 128 KiB) up to 1 MiB (from 256 MiB).
    From 1.25 MiB up, one chunk is at most 5 % of the artifact.
    """
    size = CHUNK_BYTES_MIN
    while size < CHUNK_BYTES_MAX and size * CHUNKS_AIMED_AT < total:
        size *= 2
    return size


def chunk_count(length: int, chunk_bytes: int) -> int:
    """How many chunks a file of `length` bytes has; the last may be shorter."""
    return -(-length // chunk_bytes)


class FileHasher:
    """Makes a manifest's entry for one file from its bytes, fed in pieces of any size.

    `file()` ends it. Memory: two hash states and the digests, whatever the file's length.
    """

    def __init__(self, role: str, chunk_bytes: int) -> None:
        self._role = role
        self._chunk_bytes = chunk_bytes
        self._whole = hashlib.sha256()
        self._chunk = hashlib.sha256()
        self._in_chunk = 0
        self._length = 0
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the file."""
        self._whole.update(data)
        self._length += len(data)
        view = memoryview(data)
        while view:
            piece = view[: self._chunk_bytes - self._in_chunk]
            self._chunk.update(piece)
            self._in_chunk += len(piece)
            view = view[len(piece) :]
            if self._in_chunk == self._chunk_bytes:
                self._end_chunk()

    def file(self) -> ManifestFile:
        """The entry for all that was fed. Call it once, at the end."""
        if self._in_chunk:
            self._end_chunk()
        return ManifestFile(
            role=self._role,
            length=self._length,
            digest=self._whole.digest(),
            chunks=self._chunks,
        )

    def _end_chunk(self) -> None:
        self._chunks.append(self._chunk.digest())
        self._chunk = hashlib.sha256()
        self._in_chunk = 0
