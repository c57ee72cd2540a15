"""A neighbour that serves flipped bytes over a real connection: thrown away, another one used."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mesh.blobs.instructions import FetchChunks, TellHoldings
from mesh.blobs.swarm import Swarm
from mesh.core.artifacts import Artifacts as CoreArtifacts
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactFinished,
    BeginArtifact,
    ChunksFailed,
    ChunkStored,
    FinishArtifact,
)
from mesh.events import WriteJournal
from node.agent.artifacts import Artifacts
from node.agent.edge import now_ms
from node.disk.files import Disk
from node.net.bulk import ChunkServicer
from node.net.bulk_pool import BulkPool
from tests.node.agent.stores import make_stores
from tests.node.agent.test_artifacts import ARTIFACT, DATA, PARTS
from tests.node.agent.waiting import until
from tests.node.net.peers import Peer, certified, material
from tests.sim import identities

SITE = {name: identities.node_identity("north", name) for name in ("a", "b", "c")}


async def serve(name: str, flip: bool) -> tuple[Peer, str]:
    """A neighbour with the artifact; with `flip`, one bit of each chunk is another."""

    async def read(artifact: bytes, chunk: int) -> bytes | None:
        data = PARTS[chunk]
        return bytes([data[0] ^ 1]) + data[1:] if flip else data

    peer = Peer(SITE[name], material(SITE[name]))
    return peer, await peer.listen(ChunkServicer(read, lambda who, size: None).service)


class Node:
    """Node b: the core's part for artifacts, and the edge, over real connections."""

    def __init__(self, folder: Path, addresses: dict[str, str]) -> None:
        self.addresses = addresses
        self.pool = BulkPool(material(SITE["b"]))
        self.blobs = make_stores(folder, Disk()).blobs
        release = [identities.signer("release").public_key]
        self.core = CoreArtifacts(Swarm("b"), lambda: release, lambda: ["a", "c"], lambda: [])
        self.edge = Artifacts(self.blobs, lambda _: ARTIFACT, self.fetch, self.feed)
        self.heard: list[Any] = []
        self.records: list[WriteJournal] = []

    async def fetch(
        self, source: str, artifact: bytes, chunks: tuple[int, ...], wan: bool
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        peer, address = certified(SITE[source]), self.addresses[source]
        found = self.pool.fetch(peer, address, artifact, chunks, wan=wan, timeout_s=10.0)
        async for answer in found:
            yield answer.chunk, answer.data

    def feed(self, event: Any) -> None:
        self.heard.append(event)
        core, now = self.core, now_ms()
        match event:
            case ArtifactBegun():
                self.carry(core.begun(event, now))
            case ChunkStored():
                self.carry(core.stored(event, now))
            case ChunksFailed():
                self.carry(core.chunks_failed(event, now))
            case ArtifactFinished():
                self.carry(core.finished(event))

    def carry(self, outputs: Any) -> None:
        for output in outputs:
            match output:
                case BeginArtifact():
                    self.edge.begin(output)
                case FetchChunks():
                    self.edge.fetch(output)
                case FinishArtifact():
                    self.edge.finish(output)
                case WriteJournal():
                    self.records.append(output)

    def meet(self, name: str) -> None:
        """The neighbour says that it holds all of it."""
        other = Swarm(name)
        other.hold(ARTIFACT, 0)
        self.carry(self.core.carry(self.core.swarm.peer_up(name, now_ms())))
        for told in other.peer_up("b", 0):
            if isinstance(told, TellHoldings):
                news = self.core.swarm.holdings(name, told.holdings, now_ms())
                self.carry(self.core.carry(news))

    async def tick(self) -> None:
        while True:
            self.carry(self.core.tick(now_ms()))
            await asyncio.sleep(0.05)


async def test_corrupt_chunks_are_thrown_away_and_come_from_another_neighbour(
    tmp_path: Path,
) -> None:
    liar, lies = await serve("a", flip=True)
    honest, truth = await serve("c", flip=False)
    node = Node(tmp_path, {"a": lies, "c": truth})
    node.core.restored([ARTIFACT.envelope], [], now_ms())
    node.core.swarm.members(["a", "b", "c"], [], now_ms())
    node.meet("a")
    node.carry(node.core.plan({ARTIFACT.digest}, {ARTIFACT.digest}, now_ms()))
    ticking = asyncio.create_task(node.tick())
    await until(lambda: any(isinstance(one, ChunksFailed) for one in node.heard))
    failed = next(one for one in node.heard if isinstance(one, ChunksFailed))
    assert (failed.source, failed.fault.value) == ("a", "corrupt")
    assert node.records[0].event == "chunk.corrupt"
    assert node.records[0].cause == "a"
    assert not any(isinstance(one, ChunkStored) for one in node.heard)
    node.meet("c")
    await until(lambda: ArtifactFinished(ARTIFACT.digest) in node.heard)
    assert node.blobs.files(ARTIFACT.digest)[0].read_bytes() == DATA
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    await node.pool.close()
    for peer in (liar, honest):
        await peer.server.stop(0)
