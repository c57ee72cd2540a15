"""The neighbour in the measurement of transfers: a blob store behind a node's bulk service.

    python -m tests.bench.chunk_server FOLDER

prints its address, and serves until its standard input is closed or it gets SIGTERM.
"""

import asyncio
import random
import sys
from pathlib import Path

from mesh.blobs.chunking import FileHasher
from mesh.blobs.manifest import Artifact, open_manifest, seal
from node.disk.blobs import BlobStore
from node.net.bulk import ChunkServicer
from protos.documents_pb2 import Manifest
from tests.node.net.peers import NODE_A, peer
from tests.sim import identities

NEIGHBOUR = NODE_A
BYTES = 32 << 20
CHUNK_BYTES = 1 << 20


def artifact() -> tuple[Artifact, bytes]:
    """The artifact and its bytes, the same in each process."""
    data = random.Random(1).randbytes(BYTES)
    hasher = FileHasher("data", CHUNK_BYTES)
    hasher.feed(data)
    manifest = Manifest(name="bulk", version="1.0.0", kind="data", chunk_bytes=CHUNK_BYTES)
    manifest.files.append(hasher.file())
    signer = identities.signer("release")
    return open_manifest(seal(manifest, signer), [signer.public_key]), data


async def serve(folder: Path) -> None:
    """Stores the artifact in a folder, which exists, and serves it."""
    held, data = artifact()
    store = BlobStore(folder)
    store.begin(held)
    for chunk in held.chunks:
        store.write_chunk(held.digest, chunk.index, data[chunk.offset :][: chunk.length])
    store.finish(held.digest)

    async def read(digest: bytes, index: int) -> bytes | None:
        return await asyncio.to_thread(store.read_chunk, digest, index)

    node = peer(NEIGHBOUR)
    print(await node.listen(ChunkServicer(read, lambda *_: None).service), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await node.stop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
