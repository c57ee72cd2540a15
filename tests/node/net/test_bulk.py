"""Bulk: chunks between real peers, good and hostile ones."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from mesh.heads.certificates import Certified
from mesh.heads.identity import Identity
from node.net.bulk import BulkFailed, ChunkServicer
from node.net.bulk_pool import BulkPool
from node.net.link_table import PEER_SERVICE
from node.net.policy import CHUNKS
from node.net.server import Service
from node.net.settings import BULK_CHANNELS_MAX, BULK_FETCHES_MAX, CHUNK_BYTES_MAX
from protos.peer_pb2 import ChunkData, ChunkRequest
from tests.node.net.peers import NODE_A, NODE_B, Peer, certified, foreign_material, material

MakePeer = Callable[[Identity], Peer]
ARTIFACT = b"a" * 32
MIB = CHUNK_BYTES_MAX


@dataclass
class Store:
    """Holds chunks 0 to 63: each 1 MiB of its number. Chunk 7 takes until `gate` is open."""

    served: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, artifact: bytes, chunk: int) -> bytes | None:
        if artifact != ARTIFACT or chunk > 63:
            return None
        if chunk == 7:
            self.waiting += 1
            self.came.set()
            await self.gate.wait()
        return bytes([chunk]) * MIB

    def meter(self, who: Certified, size: int) -> None:
        self.served[who.identity.name] += size


@dataclass
class Bulk:
    """Node A serves its store; node B has a pool."""

    a: Peer
    address: str
    store: Store
    pool: BulkPool

    def fetch(self, chunks: Sequence[int], timeout_s: float = 10.0, **more: Any) -> Any:
        """What B gets from A."""
        where = {"address": self.address, "wan": False} | more
        peer, artifact = certified(NODE_A), ARTIFACT
        return self.pool.fetch(peer, artifact=artifact, chunks=chunks, timeout_s=timeout_s, **where)

    async def got(self, chunks: Sequence[int], **more: Any) -> list[ChunkData]:
        """All that B gets from A."""
        return [answer async for answer in self.fetch(chunks, **more)]


@pytest.fixture
async def bulk(make_peer: MakePeer) -> AsyncIterator[Bulk]:
    """Two peers with bulk between them."""
    store, a, pool = Store(), make_peer(NODE_A), BulkPool(material(NODE_B))
    address = await a.listen(ChunkServicer(store.read, store.meter).service)
    yield Bulk(a, address, store, pool)
    await pool.close()


async def failure(work: Any) -> BulkFailed:
    """How it fails."""
    with pytest.raises(BulkFailed) as failed:
        await work
    return failed.value


async def rest(answers: AsyncIterator[ChunkData]) -> list[ChunkData]:
    """What is still to come."""
    return [answer async for answer in answers]


async def test_a_fetch_that_is_cancelled_ends_as_one(bulk: Bulk) -> None:
    running = asyncio.create_task(bulk.got([7]))
    async with asyncio.timeout(5):
        await bulk.store.came.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bulk.pool._fetches == 0


async def test_chunks_come_in_the_order_asked_for(bulk: Bulk) -> None:
    got = await bulk.got([5, 1, 99])
    assert [(one.chunk, one.missing, len(one.data)) for one in got] == [
        (5, False, MIB),
        (1, False, MIB),
        (99, True, 0),
    ]
    assert got[0].data == b"\x05" * MIB
    assert bulk.store.served == {"b": 2 * MIB}


async def test_more_than_can_be_asked_for_at_once(bulk: Bulk) -> None:
    for chunks in ([], range(65)):
        with pytest.raises(ValueError, match="1 to 64 are allowed"):
            await bulk.got(chunks)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (ChunkRequest(artifact=ARTIFACT), "0 chunks asked for"),
        (ChunkRequest(artifact=ARTIFACT, chunks=range(65)), "65 chunks asked for"),
        (ChunkRequest(artifact=b"../../etc/passwd", chunks=[1]), "has 32 bytes, this one 16"),
    ],
    ids=["none", "too many", "no digest"],
)
async def test_a_bad_request_is_refused(bulk: Bulk, request_: ChunkRequest, text: str) -> None:
    await bulk.got([1])
    (held,) = bulk.pool._held.values()
    call = held.channel.unary_stream(CHUNKS, ChunkRequest.SerializeToString)(request_, timeout=5)
    with pytest.raises(grpc.aio.AioRpcError, match=text) as error:
        await call.read()
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_of_one_peer_are_bounded(bulk: Bulk) -> None:
    running = [asyncio.create_task(bulk.got([7])) for _ in range(4)]
    async with asyncio.timeout(5):
        while bulk.store.waiting < 4:
            bulk.store.came.clear()
            await bulk.store.came.wait()
    failed = await failure(bulk.got([1]))
    assert "too many bulk streams here" in str(failed)
    assert not failed.at_fault
    bulk.store.gate.set()
    assert [len(got) for got in await asyncio.gather(*running)] == [1] * 4
    assert len(await bulk.got([1])) == 1


async def test_fetches_are_bounded(bulk: Bulk) -> None:
    bulk.pool._fetches = BULK_FETCHES_MAX
    assert "fetches are running already" in str(await failure(bulk.got([1])))
    bulk.pool._fetches = 0


async def test_a_revoked_peer_gets_no_further_chunk(bulk: Bulk) -> None:
    async with aclosing(bulk.fetch([1, 7, 2])) as answers:
        assert (await anext(answers)).chunk == 1
        bulk.a.revoked[certified(NODE_B).tls_key] = "stolen"
        bulk.store.gate.set()
        assert "was revoked: stolen" in str(await failure(rest(answers)))
    assert "was revoked: stolen" in str(await failure(bulk.got([1])))


async def test_a_peer_that_we_revoke_is_cut_off(bulk: Bulk) -> None:
    running = asyncio.create_task(bulk.got([7]))
    async with asyncio.timeout(5):
        await bulk.store.came.wait()
    await bulk.pool.close_unwelcome(bulk.a.check)
    assert not running.done()
    bulk.a.revoked[certified(NODE_A).tls_key] = "stolen"
    await bulk.pool.close_unwelcome(bulk.a.check)
    assert "ended at this end" in str(await failure(running))
    assert not bulk.pool._held


async def test_a_fetch_ends_at_its_deadline(bulk: Bulk) -> None:
    failed = await failure(bulk.got([7], timeout_s=0.2))
    assert (str(failed).startswith("DEADLINE_EXCEEDED"), failed.at_fault) == (True, False)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "unix:/run/meshd.sock"], ids=["nobody there", "not an address"]
)
async def test_nobody_at_the_address(bulk: Bulk, address: str) -> None:
    failed = await failure(bulk.got([1], address=address))
    assert failed.at_fault == address.startswith("unix")


async def test_another_peer_at_the_address_is_asked_nothing(
    bulk: Bulk, make_peer: MakePeer
) -> None:
    other = make_peer(NODE_A)
    other.material = foreign_material(NODE_A)
    store = Store()
    address = await other.listen(ChunkServicer(store.read, store.meter).service)
    assert not (await failure(bulk.got([1], address=address))).at_fault
    assert not store.served


def lying(*answers: ChunkData) -> Service:
    """A service that answers anything with these."""

    async def chunks(request: ChunkRequest, context: Any) -> AsyncIterator[ChunkData]:
        for answer in answers:
            yield answer

    method = grpc.unary_stream_rpc_method_handler(
        chunks, ChunkRequest.FromString, ChunkData.SerializeToString
    )
    handler = grpc.method_handlers_generic_handler(PEER_SERVICE, {"Chunks": method})
    return PEER_SERVICE, lambda server: server.add_generic_rpc_handlers((handler,))


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([ChunkData(chunk=2, data=b"x")], "sent chunk 2 instead of 1"),
        ([ChunkData(chunk=1, data=b"x" * (MIB + 1))], "came with 1048577 bytes"),
        ([ChunkData(chunk=1, data=b"x", missing=True)], "as missing with bytes"),
        ([], "ended the stream before chunk 1"),
        ([ChunkData(chunk=1, data=b"x" * 2 * MIB)], "RESOURCE_EXHAUSTED"),
    ],
    ids=["another chunk", "too large", "missing with bytes", "none", "far too large"],
)
async def test_a_peer_that_breaks_the_contract(
    bulk: Bulk, make_peer: MakePeer, answers: list[ChunkData], text: str
) -> None:
    address = await make_peer(NODE_A).listen(lying(*answers))
    failed = await failure(bulk.got([1, 2], address=address))
    assert text in str(failed)
    assert failed.at_fault == ("RESOURCE" not in text)


async def test_the_wan_is_metered(bulk: Bulk) -> None:
    pool = BulkPool(material(NODE_B), wan_bytes_per_s=10.0 * MIB)
    bulk.pool, plain = pool, bulk.pool
    started = asyncio.get_running_loop().time()
    await bulk.got(range(1, 7), wan=True)
    await bulk.got(range(8, 14), wan=True)
    took = asyncio.get_running_loop().time() - started
    assert took >= 0.2  # 12 MiB, of which 10 at once
    assert not await plain.close()
    await pool.close()


async def test_idle_channels_are_closed_and_the_number_is_bounded(bulk: Bulk) -> None:
    await bulk.got([1])
    await bulk.pool.close_idle()
    assert len(bulk.pool._held) == 1
    (held,) = bulk.pool._held.values()
    held.used_at -= 60.0
    await bulk.pool.close_idle()
    assert not bulk.pool._held
    for number in range(BULK_CHANNELS_MAX + 3):
        await bulk.pool._hold(certified(NODE_A), f"127.0.0.1:{number + 1}", wan=False)
    assert len(bulk.pool._held) == BULK_CHANNELS_MAX
