"""Bulk: chunks between real peers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import pytest

from mesh.heads.certificates import Certified
from mesh.heads.identity import Identity
from node.net.bulk import BulkFailed, ChunkServicer
from node.net.bulk_pool import BulkPool
from node.net.settings import CHUNK_BYTES_MAX
from tests.node.net.peers import NODE_A, NODE_B, Peer, certified, material

MakePeer = Callable[[Identity], Peer]
ARTIFACT = b"a" * 32


@dataclass
class Store:
    """Holds chunks 0 to 63: each 1 MiB of its number."""

    served: Counter[str] = field(default_factory=Counter)

    async def read(self, artifact: bytes, chunk: int) -> bytes | None:
        if artifact != ARTIFACT or chunk > 63:
            return None
        return bytes([chunk]) * CHUNK_BYTES_MAX

    def meter(self, who: Certified, size: int) -> None:
        self.served[who.identity.name] += size


async def test_chunks_come_in_the_order_asked_for(make_peer: MakePeer) -> None:
    store, a, pool = Store(), make_peer(NODE_A), BulkPool(material(NODE_B))
    address = await a.listen(ChunkServicer(store.read, store.meter).service)
    got = [
        answer
        async for answer in pool.fetch(
            certified(NODE_A), address, ARTIFACT, [5, 1, 99], wan=False, timeout_s=5
        )
    ]
    assert [(one.chunk, one.missing, len(one.data)) for one in got] == [
        (5, False, CHUNK_BYTES_MAX),
        (1, False, CHUNK_BYTES_MAX),
        (99, True, 0),
    ]
    assert got[0].data == b"\x05" * CHUNK_BYTES_MAX
    assert store.served == {"b": 2 * CHUNK_BYTES_MAX}
    await pool.close()
