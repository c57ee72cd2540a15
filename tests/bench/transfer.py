"""How fast a node takes an artifact from a neighbour: disk, mTLS over loopback, disk.

The neighbour is a process of its own. Both ends use what the daemons use: the blob store, which
hashes each chunk when it reads and when it writes it, the bulk service and the bulk pool.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from node.disk.blobs import BlobStore
from node.net.bulk_pool import BulkPool
from tests.bench.chunk_server import NEIGHBOUR, artifact
from tests.bench.figures import Figure, Series
from tests.bench.runs import Runs
from tests.node.net.peers import NODE_B, certified, material

END_S = 5.0
TIMEOUT_S = 60.0
CHUNKS_A_REQUEST = 8
MIB = 1 << 20


def measure(runs: Runs) -> list[Figure]:
    series = Series()
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as text, _neighbour(text) as address:
        for turn in range(runs.transfers):
            folder = Path(text) / f"to-{turn}"
            folder.mkdir()
            series.add("chunks", asyncio.run(_fetched(folder, address)))
    return [
        series.figure(
            "chunks", "chunks from node to node", "MiB/s",
            "32 MiB over mTLS on loopback, from one blob store into another, hashed at both ends, "
            "until the file is whole and synced",
        )
    ]  # fmt: skip


async def _fetched(folder: Path, address: str) -> float:
    """MiB a second into a new store below a folder, which is empty."""
    wanted, _ = artifact()
    store, pool = BlobStore(folder), BulkPool(material(NODE_B))
    store.begin(wanted)
    began = time.perf_counter()
    for first in range(0, len(wanted.chunks), CHUNKS_A_REQUEST):
        chunks = [chunk.index for chunk in wanted.chunks[first : first + CHUNKS_A_REQUEST]]
        answers = pool.fetch(
            certified(NEIGHBOUR), address, wanted.digest, chunks, wan=False, timeout_s=TIMEOUT_S
        )
        async with aclosing(answers):  # type: ignore[type-var]  # it is a generator
            async for one in answers:
                await asyncio.to_thread(store.write_chunk, wanted.digest, one.chunk, one.data)
    await asyncio.to_thread(store.finish, wanted.digest)
    took = time.perf_counter() - began
    await pool.close()
    return wanted.total_bytes / MIB / took


@contextmanager
def _neighbour(text: str) -> Iterator[str]:
    """The address of a process that holds the artifact."""
    folder = Path(text) / "from"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.bench.chunk_server", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait(END_S)
