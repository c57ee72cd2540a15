"""The files of one artifact: made ready for a fetch, read for what they hold, taken apart.

A chunk that the disk cannot read, or that is other bytes than its digest says, is simply not held:
it is fetched again and written over.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from mesh.blobs.manifest import Chunk
from mesh.hashing import sha256
from node.disk.artifacts import StoredArtifact
from node.disk.errors import DiskFailed
from node.disk.files import Disk

_READ_BYTES = 1024 * 1024


def bytes_needed(disk: Disk, stored: StoredArtifact) -> int:
    """Room that is not allocated yet for the artifact's files."""
    needed = 0
    for number, file in enumerate(stored.manifest.files):
        sizes = (disk.size_at(stored.whole(number)), disk.size_at(stored.part(number)))
        if file.length not in sizes:
            needed += file.length
    return needed


def prepare_file(disk: Disk, stored: StoredArtifact, number: int) -> set[int]:
    """Makes file `number` ready to be fetched and gives its chunks that are held.

    A finished file that is good stays; otherwise there is a part of the right length afterwards.
    """
    part, whole = stored.part(number), stored.whole(number)
    chunks, length = stored.chunks_of(number), stored.manifest.files[number].length
    if disk.size_at(part) is None:
        size = disk.size_at(whole)
        good = good_chunks(disk, whole, chunks)
        if size == length and len(good) == len(chunks):
            return good
        if size is None:
            disk.close(disk.create(part))
        else:
            disk.rename(whole, part)
    _fit(disk, part, length)
    return good_chunks(disk, part, chunks)


def take_apart(disk: Disk, stored: StoredArtifact, number: int) -> set[int]:
    """Moves file `number` back among the parts if it is not whole; gives its good chunks."""
    part, chunks = stored.part(number), stored.chunks_of(number)
    if disk.size_at(part) is None:
        if is_whole(disk, stored, number):
            return {chunk.index for chunk in chunks}
        with suppress(FileNotFoundError):
            disk.rename(stored.whole(number), part)
    return good_chunks(disk, part, chunks)


def is_whole(disk: Disk, stored: StoredArtifact, number: int) -> bool:
    """Whether file `number` lies finished there with the bytes that the manifest says."""
    path, file = stored.whole(number), stored.manifest.files[number]
    try:
        return disk.size_at(path) == file.length and digest_of(disk, path) == file.digest
    except DiskFailed:
        return False


def digest_of(disk: Disk, path: Path) -> bytes:
    """SHA-256 of the file."""
    whole, offset = hashlib.sha256(), 0
    with disk.opened(path) as handle:
        while data := disk.read(path, handle, _READ_BYTES, offset):
            whole.update(data)
            offset += len(data)
    return whole.digest()


def good_chunks(disk: Disk, path: Path, chunks: list[Chunk]) -> set[int]:
    """Which of the chunks lie in the file as they should; none where there is no file."""
    good: set[int] = set()
    with suppress(FileNotFoundError), disk.opened(path) as handle:
        for chunk in chunks:
            with suppress(DiskFailed):
                data = disk.read(path, handle, chunk.length, chunk.offset)
                if sha256(data) == chunk.digest:
                    good.add(chunk.index)
    return good


def _fit(disk: Disk, path: Path, length: int) -> None:
    """Gives the file exactly this length, with its room allocated."""
    with disk.opened(path, writing=True) as handle:
        size = disk.size(handle)
        if size > length:
            disk.truncate(path, handle, length)
        elif size < length:
            disk.allocate(path, handle, length)
