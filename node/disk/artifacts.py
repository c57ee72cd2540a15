"""One artifact on the disk, while it is fetched and when it is whole.

    artifacts/DIGEST/manifest   the signed envelope: its SHA-256 is DIGEST
    artifacts/DIGEST/part.N     file N of the manifest while it is fetched, allocated in full
    artifacts/DIGEST/complete   an empty mark, made last
    files/SHA256                a finished file, named by its digest, shared by artifacts

What is held is read from the disk, not remembered: after a restart every chunk of a part is hashed
again (about a second a GiB). So no note can ever claim what the data does not hold.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from google.protobuf.message import DecodeError

from mesh.blobs.limits import ENVELOPE_BYTES_MAX
from mesh.blobs.manifest import MANIFEST_KIND, Chunk
from mesh.hashing import sha256
from mesh.signed import SignatureRefused, open_envelope
from node.disk.files import Disk, read_whole, replace_file
from protos.documents_pb2 import Manifest

_MANIFEST = "manifest"
_COMPLETE = "complete"


@dataclass(eq=False)
class StoredArtifact:
    """What is known of an artifact; `held` are the chunks that were checked and written.

    `complete`: all files are whole and in their place. `begun`: the parts were made ready, and
    read for what they hold, by this process.
    """

    digest: bytes
    manifest: Manifest
    chunks: tuple[Chunk, ...]
    folder: Path
    files: Path
    complete: bool = False
    begun: bool = False
    held: set[int] = field(default_factory=set)
    unsynced: set[int] = field(default_factory=set)
    busy: Lock = field(default_factory=Lock)
    """Held while the artifact is begun, finished or taken apart: one at a time."""

    def part(self, number: int) -> Path:
        """Where file `number` lies while it is fetched."""
        return self.folder / f"part.{number}"

    def whole(self, number: int) -> Path:
        """Where file `number` lies when it is finished."""
        return self.files / self.manifest.files[number].digest.hex()

    def chunks_of(self, number: int) -> list[Chunk]:
        """The chunks of file `number`."""
        return [chunk for chunk in self.chunks if chunk.file == number]


def load_artifact(disk: Disk, folder: Path, files: Path) -> StoredArtifact | None:
    """The artifact in `folder`, None if its manifest is not whole: the folder's name says what
    the manifest's bytes must be, and those were verified before they were written."""
    envelope = read_whole(disk, folder / _MANIFEST, ENVELOPE_BYTES_MAX)
    if envelope is None or sha256(envelope).hex() != folder.name:
        return None
    try:
        manifest = Manifest.FromString(open_envelope(envelope, MANIFEST_KIND).payload)
    except (SignatureRefused, DecodeError):
        return None
    digest = sha256(envelope)
    stored = StoredArtifact(digest, manifest, _layout(manifest), folder, files)
    marked = disk.size_at(folder / _COMPLETE) is not None
    if marked and has_whole_files(disk, stored):
        stored.complete = True
        stored.held = set(range(len(stored.chunks)))
    return stored


def write_manifest(disk: Disk, folder: Path, envelope: bytes) -> None:
    """Puts the signed manifest in its place, durably."""
    replace_file(disk, folder / _MANIFEST, envelope)


def has_whole_files(disk: Disk, stored: StoredArtifact) -> bool:
    """Whether all files lie there with their exact lengths."""
    return all(
        disk.size_at(stored.whole(number)) == file.length
        for number, file in enumerate(stored.manifest.files)
    )


def mark_complete(disk: Disk, stored: StoredArtifact) -> None:
    """Says durably that all files are whole and in their place."""
    replace_file(disk, stored.folder / _COMPLETE, b"")


def unmark_complete(disk: Disk, stored: StoredArtifact) -> None:
    """Takes that back, durably."""
    disk.unlink(stored.folder / _COMPLETE)
    disk.sync_folder(stored.folder)


def remove_folder(disk: Disk, stored: StoredArtifact) -> int:
    """Removes all but the finished files; the manifest last, which says what belongs to it. Gives
    the bytes that lay there."""
    names = disk.names(stored.folder)
    freed = sum(disk.size_at(stored.folder / name) or 0 for name in names)
    for name in names:
        if name != _MANIFEST:
            disk.unlink(stored.folder / name)
    disk.sync_folder(stored.folder)
    disk.unlink(stored.folder / _MANIFEST)
    disk.remove_folder(stored.folder)
    disk.sync_folder(stored.folder.parent)
    return freed


def _layout(manifest: Manifest) -> tuple[Chunk, ...]:
    """The chunks of all files, in order; the manifest was checked before it was stored."""
    chunks: list[Chunk] = []
    for number, file in enumerate(manifest.files):
        for position, digest in enumerate(file.chunks):
            offset = position * manifest.chunk_bytes
            length = min(manifest.chunk_bytes, file.length - offset)
            chunks.append(Chunk(len(chunks), number, offset, length, digest))
    return tuple(chunks)
