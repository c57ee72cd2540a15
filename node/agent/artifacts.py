"""Artifacts at the edge: room on the disk, chunks from sources, whole files at the end.

A chunk is hashed and written in the disk's threads, never on the event loop.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from mesh.blobs.instructions import Fault, FetchChunks
from mesh.blobs.manifest import Artifact
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    BeginArtifact,
    ChunksFailed,
    ChunkStored,
    FinishArtifact,
    RemoveArtifact,
)
from node.agent.tasks import Background
from node.disk.blobs import (
    BlobStore,
    ChunkCorrupt,
    ChunksMissing,
    ManifestContradicts,
    UnknownArtifact,
)
from node.disk.errors import DiskError, DiskFull

FLUSH_BYTES = 64 * 1024 * 1024
"""Fetched again at most, when the power fails in a long fetch."""

log = structlog.get_logger(__name__)

Fetch = Callable[[str, bytes, tuple[int, ...], bool], Any]
"""(source, artifact, chunks, wan) to an async iterator of (chunk, data or None if missing)."""


class Artifacts:
    """Carries out what the core asks about artifacts, and counts the payload by where it is from.

    Bytes are counted as they arrive, good or not: they were paid for.
    """

    def __init__(
        self,
        blobs: BlobStore,
        known: Callable[[bytes], Artifact],
        fetch: Fetch,
        feed: Callable[[Any], None],
    ) -> None:
        self._blobs = blobs
        self._known = known
        self._fetch = fetch
        self._feed = feed
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="chunks")
        self._background = Background()
        self.wan_bytes: Counter[bytes] = Counter()
        self.lan_bytes: Counter[bytes] = Counter()

    def begin(self, i: BeginArtifact) -> None:
        """Reserves room."""
        self._background.start(self._begin(i.artifact))

    def finish(self, i: FinishArtifact) -> None:
        """Checks and publishes whole files."""
        self._background.start(self._finish(self._known(i.artifact)))

    def remove(self, i: RemoveArtifact) -> None:
        """Takes it off the disk."""
        self._background.start(self._remove(i))

    def fetch(self, i: FetchChunks) -> None:
        """Gets chunks from one source."""
        self._background.start(self._get(i))

    async def read_chunk(self, artifact: bytes, chunk: int) -> bytes | None:
        """A chunk for a peer that asks, None if it is not held."""
        data: bytes | None = await self._in_thread(self._blobs.read_chunk, artifact, chunk)
        return data

    async def _begin(self, artifact: Artifact) -> None:
        try:
            held = await self._in_thread(self._blobs.begin, artifact)
        except DiskError as error:
            self._feed(_failed(artifact.digest, error))
            return
        self._feed(ArtifactBegun(artifact.digest, frozenset(held)))

    async def _finish(self, artifact: Artifact) -> None:
        try:
            await self._in_thread(self._blobs.finish, artifact.digest)
        except ChunksMissing as missing:
            every = {chunk.index for chunk in artifact.chunks}
            self._feed(ArtifactBegun(artifact.digest, frozenset(every - set(missing.chunks))))
            return
        except (DiskError, ManifestContradicts, UnknownArtifact) as error:
            self._feed(_failed(artifact.digest, error))
            return
        self._feed(ArtifactFinished(artifact.digest))

    async def _remove(self, i: RemoveArtifact) -> None:
        try:
            freed = await self._in_thread(self._blobs.remove, i.artifact)
            if i.with_manifest:
                await self._in_thread(self._blobs.discard, i.artifact)
        except DiskError as error:
            log.error("an artifact cannot be removed", error=str(error))
            self._feed(ArtifactRemoved(i.artifact, 0, str(error)))
            return
        self._feed(ArtifactRemoved(i.artifact, freed))

    async def _get(self, i: FetchChunks) -> None:
        left = list(i.chunks)
        fault = Fault.UNREACHABLE
        try:
            async for chunk, data in self._fetch(i.source, i.artifact, i.chunks, i.wan):
                if data is None or chunk not in left:
                    fault = Fault.MISSING
                    break
                (self.wan_bytes if i.wan else self.lan_bytes)[i.artifact] += len(data)
                await self._in_thread(self._write, i.artifact, chunk, data)
                left.remove(chunk)
                self._feed(ChunkStored(i.artifact, chunk))
        except ChunkCorrupt:
            fault = Fault.CORRUPT
        except TimeoutError:
            fault = Fault.SLOW
        except DiskError as error:
            self._feed(_failed(i.artifact, error))
            return
        except Exception as error:
            # A source may fail in any way; it is then a source that cannot be reached.
            log.info("a source failed", source=i.source, error=str(error))
        if left:
            self._feed(ChunksFailed(i.artifact, tuple(left), i.source, fault))

    def _write(self, artifact: bytes, chunk: int, data: bytes) -> None:
        if self._blobs.write_chunk(artifact, chunk, data) >= FLUSH_BYTES:
            self._blobs.flush(artifact)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)


def _failed(artifact: bytes, error: Exception) -> ArtifactFailed:
    return ArtifactFailed(artifact, str(error), full=isinstance(error, DiskFull))
