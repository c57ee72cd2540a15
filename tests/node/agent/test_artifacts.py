"""Artifacts at the edge: what a chunk, a source and a disk can do wrong, and what is said of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mesh.blobs.chunking import FileHasher
from mesh.blobs.instructions import Fault, FetchChunks
from mesh.blobs.manifest import Artifact, open_manifest, seal
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
from node.agent.artifacts import Artifacts
from protos.documents_pb2 import Manifest
from tests.node.agent.stores import StubbornDisk, make_stores
from tests.node.agent.waiting import until
from tests.sim import identities

CHUNK = 65_536
DATA = b"".join(bytes([number]) * CHUNK for number in range(1, 4))
PARTS = [DATA[start : start + CHUNK] for start in range(0, len(DATA), CHUNK)]
RESERVE = 1 << 62
"""More than any disk has."""


def make_artifact(data: bytes = DATA) -> Artifact:
    """Three chunks in one file."""
    hasher = FileHasher("data", CHUNK)
    hasher.feed(data)
    manifest = Manifest(name="d", version="1.0.0", kind="data", chunk_bytes=CHUNK)
    manifest.files.append(hasher.file())
    release = identities.signer("release")
    return open_manifest(seal(manifest, release), [release.public_key])


ARTIFACT = make_artifact()
D = ARTIFACT.digest


class Rig:
    """Artifacts on a real folder, with a source that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.disk = StubbornDisk()
        self.blobs = make_stores(folder, self.disk).blobs
        self.fed: list[Any] = []
        self.gives: list[Any] = []
        self.artifacts = Artifacts(self.blobs, lambda _: ARTIFACT, self._fetch, self.fed.append)

    async def _fetch(
        self, source: str, artifact: bytes, chunks: tuple[int, ...], wan: bool
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        for one in self.gives:
            if isinstance(one, Exception):
                raise one
            yield one

    async def until(self, count: int) -> list[Any]:
        """What was fed, once it is so much."""
        await until(lambda: len(self.fed) >= count)
        fed, self.fed[:] = list(self.fed), []
        return fed

    async def begin(self) -> Any:
        self.artifacts.begin(BeginArtifact(ARTIFACT))
        return (await self.until(1))[0]

    def fetch(self, *gives: Any, wan: bool = False) -> None:
        self.gives = list(gives)
        self.artifacts.fetch(FetchChunks("p", D, (0, 1, 2), wan))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_chunks_from_two_sources_make_a_whole_artifact(rig: Rig) -> None:
    assert await rig.begin() == ArtifactBegun(D, frozenset())
    rig.fetch((0, PARTS[0]), (1, PARTS[1]), (2, PARTS[2]), wan=True)
    assert await rig.until(3) == [ChunkStored(D, 0), ChunkStored(D, 1), ChunkStored(D, 2)]
    rig.artifacts.finish(FinishArtifact(D))
    assert await rig.until(1) == [ArtifactFinished(D)]
    assert rig.blobs.files(D)[0].read_bytes() == DATA
    assert rig.artifacts.wan_bytes[D] == len(DATA)
    assert rig.artifacts.lan_bytes[D] == 0
    assert await rig.artifacts.read_chunk(D, 1) == PARTS[1]
    assert await rig.artifacts.read_chunk(b"?" * 32, 1) is None


async def test_a_corrupt_chunk_is_thrown_away_and_its_source_named(rig: Rig) -> None:
    await rig.begin()
    flipped = bytes([PARTS[1][0] ^ 1]) + PARTS[1][1:]
    rig.fetch((0, PARTS[0]), (1, flipped), (2, PARTS[2]))
    assert await rig.until(2) == [ChunkStored(D, 0), ChunksFailed(D, (1, 2), "p", Fault.CORRUPT)]
    assert await rig.artifacts.read_chunk(D, 1) is None
    assert rig.artifacts.lan_bytes[D] == 2 * CHUNK  # it was paid for
    rig.fetch((1, PARTS[1]), (2, PARTS[2]))
    await rig.until(3)
    rig.artifacts.finish(FinishArtifact(D))
    assert await rig.until(1) == [ArtifactFinished(D)]


@pytest.mark.parametrize(
    ("gives", "fault"),
    [
        ([(0, None)], Fault.MISSING),
        ([(7, PARTS[0])], Fault.MISSING),
        ([], Fault.UNREACHABLE),
        ([ConnectionError("gone")], Fault.UNREACHABLE),
        ([TimeoutError()], Fault.SLOW),
        ([(0, PARTS[0][:-1])], Fault.CORRUPT),
    ],
    ids=["has it not", "gives another", "says nothing", "breaks off", "is slow", "gives less"],
)
async def test_a_source_that_fails(rig: Rig, gives: list[Any], fault: Fault) -> None:
    await rig.begin()
    rig.fetch(*gives)
    assert await rig.until(1) == [ChunksFailed(D, (0, 1, 2), "p", fault)]


async def test_a_disk_without_room_refuses_before_the_first_byte(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.blobs._reserve_bytes = RESERVE
    failed = await rig.begin()
    assert isinstance(failed, ArtifactFailed)
    assert "are kept for state and journals: free space on the disk" in failed.reason
    assert failed.full
    rig.blobs._reserve_bytes = 0
    assert await rig.begin() == ArtifactBegun(D, frozenset())


async def test_a_disk_that_fills_up_in_the_middle(rig: Rig) -> None:
    await rig.begin()
    rig.disk.refuse = {"artifacts"}
    rig.fetch((0, PARTS[0]))
    (failed,) = await rig.until(1)
    assert isinstance(failed, ArtifactFailed)
    assert "no room" in failed.reason
    assert failed.full
    rig.disk.refuse = set()
    rig.fetch((0, PARTS[0]))
    assert (await rig.until(1))[0] == ChunkStored(D, 0)


async def test_chunks_that_are_missing_in_the_end_come_again(rig: Rig) -> None:
    await rig.begin()
    rig.fetch((0, PARTS[0]), (2, PARTS[2]))
    await rig.until(3)
    rig.artifacts.finish(FinishArtifact(D))
    assert await rig.until(1) == [ArtifactBegun(D, frozenset({0, 2}))]


async def test_what_is_removed_is_told_with_its_bytes(rig: Rig) -> None:
    await rig.begin()
    rig.fetch((0, PARTS[0]), (1, PARTS[1]), (2, PARTS[2]))
    await rig.until(3)
    rig.artifacts.finish(FinishArtifact(D))
    await rig.until(1)
    rig.blobs.put(ARTIFACT.envelope)
    rig.artifacts.remove(RemoveArtifact(D, with_manifest=False))
    size = len(DATA) + len(ARTIFACT.envelope)
    assert await rig.until(1) == [ArtifactRemoved(D, size)]
    assert await rig.artifacts.read_chunk(D, 1) is None, "another source is asked"
    assert rig.blobs.get(D) == ARTIFACT.envelope
    rig.artifacts.remove(RemoveArtifact(D, with_manifest=True))
    assert await rig.until(1) == [ArtifactRemoved(D, 0)]
    assert rig.blobs.get(D) is None


async def test_a_removal_that_the_disk_refuses_is_told(rig: Rig) -> None:
    await rig.begin()
    rig.disk.stuck = True
    rig.artifacts.remove(RemoveArtifact(D, with_manifest=True))
    (removed,) = await rig.until(1)
    assert isinstance(removed, ArtifactRemoved)
    assert "Read-only file system" in removed.trouble
    rig.disk.stuck = False
    rig.artifacts.remove(RemoveArtifact(D, with_manifest=True))
    assert (await rig.until(1))[0].freed_bytes > 0


async def test_what_was_never_begun_cannot_be_finished(rig: Rig) -> None:
    rig.artifacts.finish(FinishArtifact(D))
    (failed,) = await rig.until(1)
    assert isinstance(failed, ArtifactFailed)
