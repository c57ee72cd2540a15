"""The blobs of a peer on its disk: small ones, and artifacts in chunks.

- No byte is kept as good before its hash was checked; every byte is hashed again when it is read.
- Room for an artifact is reserved before its first byte, and never out of the reserve that state
  and journals live on: a fetch cannot fill the disk under a node that works.
- A file gets its final name, its digest, only when it is whole, checked and synced.
- What turns out to be damaged is no longer held; only the chunks that are bad come again.
- What is removed loses its mark first and its manifest last: after a crash it is whole, or not held
  and known of, so that it can be removed again.

Safe to use from several threads: chunks of one artifact may be read and written at once, while the
calls on a whole artifact (begin, finish) wait for each other.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NoReturn

from mesh.blobs.limits import ENVELOPE_BYTES_MAX
from mesh.blobs.manifest import Artifact, Chunk
from mesh.hashing import sha256
from node.disk.artifact_files import (
    bytes_needed,
    digest_of,
    good_chunks,
    is_whole,
    prepare_file,
    take_apart,
)
from node.disk.artifacts import (
    StoredArtifact,
    has_whole_files,
    load_artifact,
    mark_complete,
    remove_folder,
    unmark_complete,
    write_manifest,
)
from node.disk.errors import DiskError, DiskFull
from node.disk.files import Disk, make_durable_folder, read_whole
from node.disk.small_blobs import HEX_DIGEST, SmallBlobs

RESERVE_BYTES = 64 * 1024 * 1024
"""Left free on the disk for state and records: months of records of an ordinary node."""


class UnknownArtifact(LookupError):
    """This artifact was not begun here, or is gone: call `begin` first. Nothing changed."""


class ChunkCorrupt(ValueError):
    """The bytes are not the chunk: the source is at fault, ask another. Nothing was written."""


class ChunksMissing(Exception):
    """The artifact is not whole: call `begin`, fetch `chunks`, then call `finish` again."""

    def __init__(self, chunks: Iterable[int]) -> None:
        self.chunks = tuple(sorted(chunks))
        super().__init__(f"{len(self.chunks)} chunks are missing, the first is {self.chunks[0]}")


class ManifestContradicts(ValueError):
    """A file has all the chunks that its manifest names and not the digest that it names: the
    release is wrong, and no other source will help. Make the artifact anew."""


class BlobStore(SmallBlobs):
    """The blobs below one folder, which exists."""

    def __init__(
        self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES, disk: Disk | None = None
    ) -> None:
        """Finds what is there, without reading the files. Raises DiskFull, DiskFailed."""
        disk = disk or Disk()
        super().__init__(folder / "small", disk)
        self._reserve_bytes = reserve_bytes
        self._files = folder / "files"
        self._artifacts = folder / "artifacts"
        for path in (folder / "small", self._files, self._artifacts):
            make_durable_folder(disk, path)
        self._state = Lock()
        self._known: dict[bytes, StoredArtifact] = {}
        for name in disk.names(self._artifacts):
            if HEX_DIGEST.fullmatch(name):
                stored = load_artifact(disk, self._artifacts / name, self._files)
                if stored is not None:
                    self._known[stored.digest] = stored

    # ---- fetching --------------------------------------------------------------------------

    def begin(self, artifact: Artifact) -> set[int]:
        """Makes room for the artifact and gives the chunks that are held already.

        Goes on where an earlier fetch stopped, and uses files that other artifacts have.
        Idempotent. Raises DiskFull (nothing of a new artifact is left then), DiskFailed.
        """
        with self._state:
            stored = self._known.get(artifact.digest)
            if stored is None:
                folder = self._artifacts / artifact.digest.hex()
                stored = StoredArtifact(
                    artifact.digest, artifact.manifest, artifact.chunks, folder, self._files
                )
                self._known[artifact.digest] = stored
        with stored.busy:
            with self._state:
                self._known.setdefault(artifact.digest, stored)  # removed while it was waited for
            whole = stored.complete and has_whole_files(self._disk, stored)
            if not whole and (stored.complete or not stored.begun):
                self._prepare(stored, artifact.envelope)
            with self._state:
                return set(stored.held)

    def write_chunk(self, artifact: bytes, index: int, data: bytes) -> int:
        """Checks the chunk and writes it; it is held, and not durable before `flush`.

        Gives the bytes that were written since the last `flush`: call it at 64 MiB or 5 s. Raises
        ChunkCorrupt, UnknownArtifact, DiskFull, DiskFailed.
        """
        stored = self._stored(artifact)
        if not stored.begun:
            raise UnknownArtifact(f"{artifact.hex()} is not being fetched: call begin")
        chunk = _chunk(stored, index)
        if len(data) != chunk.length or sha256(data) != chunk.digest:
            raise ChunkCorrupt(f"chunk {index} of {artifact.hex()[:12]}: not the bytes it names")
        path = stored.part(chunk.file)
        with self._state:
            held = index in stored.held
        if not held:
            try:
                with self._disk.opened(path, writing=True) as handle:
                    self._disk.write(path, handle, data, chunk.offset)
            except FileNotFoundError:
                raise UnknownArtifact(f"{artifact.hex()} was taken away meanwhile") from None
        with self._state:
            if not held:
                stored.held.add(index)
                stored.unsynced.add(index)
            return sum(stored.chunks[number].length for number in stored.unsynced)

    def flush(self, artifact: bytes) -> None:
        """Makes the chunks that were written so far durable. Raises UnknownArtifact, DiskFull,
        DiskFailed."""
        self._flush(self._stored(artifact))

    def finish(self, artifact: bytes) -> list[Path]:
        """Checks all files whole, makes them durable under their final names, and gives these.

        Idempotent. Raises ChunksMissing, ManifestContradicts, UnknownArtifact, DiskFull,
        DiskFailed.
        """
        stored = self._stored(artifact)
        with stored.busy:
            if not (stored.complete and has_whole_files(self._disk, stored)):
                missing = set(range(len(stored.chunks))) - stored.held
                if missing:
                    raise ChunksMissing(missing)
                self._flush(stored)
                for number in range(len(stored.manifest.files)):
                    self._finish_file(stored, number)
                self._disk.sync_folder(self._files)
                mark_complete(self._disk, stored)
                stored.complete = True
            return [stored.whole(number) for number in range(len(stored.manifest.files))]

    # ---- using -----------------------------------------------------------------------------

    def read_chunk(self, artifact: bytes, index: int) -> bytes | None:
        """The chunk's bytes, checked; None if it is not held (any more). Raises DiskFailed."""
        with self._state:
            stored = self._known.get(artifact)
            if stored is None or index not in stored.held:
                return None
        chunk = stored.chunks[index]
        for path in (stored.part(chunk.file), stored.whole(chunk.file)):
            try:
                with self._disk.opened(path) as handle:
                    data = self._disk.read(path, handle, chunk.length, chunk.offset)
            except FileNotFoundError:
                continue
            if sha256(data) == chunk.digest:
                return data
        self.damaged += 1
        with stored.busy:
            self._give_up_bad(stored)
        return None

    def held(self) -> list[bytes]:
        """The artifacts that are whole, sorted. Looks at the files' lengths, not their bytes."""
        with self._state:
            known = sorted(self._known.items())
        return [
            digest
            for digest, stored in known
            if stored.complete and has_whole_files(self._disk, stored)
        ]

    def files(self, artifact: bytes) -> list[Path]:
        """The files of a whole artifact, in its manifest's order. Raises UnknownArtifact if it is
        not whole."""
        stored = self._stored(artifact)
        if not (stored.complete and has_whole_files(self._disk, stored)):
            raise UnknownArtifact(f"{artifact.hex()} is not whole here: begin, fetch and finish it")
        return [stored.whole(number) for number in range(len(stored.manifest.files))]

    def manifest_path(self, artifact: bytes) -> Path:
        """Where the signed manifest of an artifact that was begun lies."""
        return self._artifacts / artifact.hex() / "manifest"

    # ---- removing --------------------------------------------------------------------------

    def envelopes(self) -> dict[bytes, bytes]:
        """The signed manifests of all artifacts that take room here, whole or in part, by digest.
        Raises DiskFailed."""
        with self._state:
            known = sorted(self._known)
        found = {
            digest: read_whole(self._disk, self.manifest_path(digest), ENVELOPE_BYTES_MAX)
            for digest in known
        }
        return {digest: envelope for digest, envelope in found.items() if envelope is not None}

    def remove(self, artifact: bytes) -> int:
        """Removes the artifact, but for the files that others have too; gives the bytes that this
        freed, 0 if it is not here. Raises DiskFailed; then it is not held, and can be removed
        again."""
        with self._state:
            stored = self._known.get(artifact)
        if stored is None:
            return 0
        with stored.busy:
            with self._state:
                stored.complete = stored.begun = False
                stored.held, stored.unsynced = set(), set()
            unmark_complete(self._disk, stored)
            freed = self._remove_files(stored)
            self._disk.sync_folder(self._files)
            freed += remove_folder(self._disk, stored)
            with self._state:
                self._known.pop(artifact, None)
        return freed

    def is_short(self) -> bool:
        """Whether the reserve for state and journals is being used up. Raises DiskFailed."""
        return self._disk.free_bytes(self._files) < self._reserve_bytes

    # ---- inside, with `busy` held ----------------------------------------------------------

    def _stored(self, artifact: bytes) -> StoredArtifact:
        with self._state:
            stored = self._known.get(artifact)
        if stored is None:
            raise UnknownArtifact(f"{artifact.hex()} was not begun here")
        return stored

    def _prepare(self, stored: StoredArtifact, envelope: bytes) -> None:
        """Finds what is held, and allocates the rest."""
        new = not self._disk.names(stored.folder)
        try:
            make_durable_folder(self._disk, stored.folder)
            write_manifest(self._disk, stored.folder, envelope)
            unmark_complete(self._disk, stored)
            self._check_room(stored)
            held: set[int] = set()
            for number in range(len(stored.manifest.files)):
                held |= prepare_file(self._disk, stored, number)
            self._disk.sync_folder(stored.folder)
        except DiskError:
            if new:
                with self._state:
                    self._known.pop(stored.digest, None)
                with suppress(DiskError):
                    remove_folder(self._disk, stored)
            raise
        with self._state:
            stored.complete, stored.begun = False, True
            stored.held, stored.unsynced = held, set()

    def _remove_files(self, stored: StoredArtifact) -> int:
        """Removes the finished files that no other artifact has; gives their bytes. Nobody can
        begin one that shares them meanwhile."""
        freed = 0
        with self._state:
            others = [one for one in self._known.values() if one is not stored]
            shared = {file.digest for one in others for file in one.manifest.files}
            for number, file in enumerate(stored.manifest.files):
                if file.digest not in shared:
                    freed += self._disk.size_at(stored.whole(number)) or 0
                    self._disk.unlink(stored.whole(number))
        return freed

    def _check_room(self, stored: StoredArtifact) -> None:
        needed = bytes_needed(self._disk, stored)
        free = self._disk.free_bytes(self._files)
        if needed and free - needed < self._reserve_bytes:
            raise DiskFull(
                self._files,
                f"{needed} bytes are needed, {free} are free, and {self._reserve_bytes} of them "
                "are kept for state and journals: free space on the disk",
            )

    def _flush(self, stored: StoredArtifact) -> None:
        with self._state:
            taken, stored.unsynced = stored.unsynced, set()
        try:
            for number in sorted({stored.chunks[index].file for index in taken}):
                path = stored.part(number)
                with (
                    suppress(FileNotFoundError),  # taken away meanwhile
                    self._disk.opened(path, writing=True) as handle,
                ):
                    self._disk.sync(path, handle)
        except BaseException:
            with self._state:
                stored.unsynced |= taken
            raise

    def _finish_file(self, stored: StoredArtifact, number: int) -> None:
        """Gives the file its final name, if it is what the manifest says."""
        part = stored.part(number)
        if self._disk.size_at(part) is None:
            if is_whole(self._disk, stored, number):
                return  # finished before, or shared with another artifact
            self._miss(stored, {chunk.index for chunk in stored.chunks_of(number)})
        if digest_of(self._disk, part) != stored.manifest.files[number].digest:
            chunks = stored.chunks_of(number)
            bad = {chunk.index for chunk in chunks} - good_chunks(self._disk, part, chunks)
            if not bad:
                raise ManifestContradicts(f"file {number} of {stored.digest.hex()}")
            self._miss(stored, bad)
        with self._disk.opened(part, writing=True) as handle:
            self._disk.sync(part, handle)
        self._disk.rename(part, stored.whole(number))

    def _miss(self, stored: StoredArtifact, chunks: set[int]) -> NoReturn:
        """Chunks that were held have rotted since, or were taken away."""
        with self._state:
            stored.held -= chunks
            stored.begun = False
        self.damaged += len(chunks)
        raise ChunksMissing(chunks)

    def _give_up_bad(self, stored: StoredArtifact) -> None:
        """Moves files that are not whole back among the parts, and forgets their bad chunks."""
        with self._state:
            stored.complete = stored.begun = False
        unmark_complete(self._disk, stored)
        held: set[int] = set()
        for number in range(len(stored.manifest.files)):
            held |= take_apart(self._disk, stored, number)
        with self._state:
            stored.held &= held


def _chunk(stored: StoredArtifact, index: int) -> Chunk:
    if not 0 <= index < len(stored.chunks):
        raise ChunkCorrupt(f"{stored.digest.hex()[:12]} has no chunk {index}")
    return stored.chunks[index]
