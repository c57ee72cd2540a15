"""Channels for bulk, one for each peer and address, kept while they are used."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import grpc

from mesh.addresses import AddressRefused, target
from mesh.heads.certificates import Certified
from node.net.budget import Bucket
from node.net.bulk import BulkFailed, ChunkFetch
from node.net.credentials import TlsMaterial, client_credentials
from node.net.identity import PeerCheck, refusal
from node.net.settings import BULK_CHANNELS_MAX, BULK_FETCHES_MAX, BULK_IDLE_S, bulk_options
from protos.peer_pb2 import ChunkData


@dataclass(slots=True)
class _Held:
    peer: Certified
    channel: grpc.aio.Channel
    fetches: set[ChunkFetch]
    used_at: float


class BulkPool:
    """Fetches chunks from peers. `material` may be replaced; it holds for the next channel.

    `wan_bytes_per_s` is how much comes over the WAN in all; None: as much as there is.
    """

    def __init__(self, material: TlsMaterial, wan_bytes_per_s: float | None = None) -> None:
        self.material = material
        self._held: dict[tuple[bytes, str], _Held] = {}  # least recently opened first
        self._fetches = 0
        self._wan_rate = Bucket(wan_bytes_per_s, wan_bytes_per_s) if wan_bytes_per_s else None

    async def fetch(
        self,
        peer: Certified,
        address: str,
        artifact: bytes,
        chunks: Sequence[int],
        *,
        wan: bool,
        timeout_s: float,
    ) -> AsyncIterator[ChunkData]:
        """The chunks, as ChunkFetch gives them, from `peer` and no other, at HOST:PORT.

        Close the iterator if you leave it early (`aclosing`). Raises BulkFailed, ValueError.
        """
        if self._fetches >= BULK_FETCHES_MAX:
            raise BulkFailed(f"{BULK_FETCHES_MAX} fetches are running already", at_fault=False)
        held = await self._hold(peer, address, wan)
        rate = self._wan_rate if wan else None
        fetch = ChunkFetch(held.channel, artifact, chunks, timeout_s, rate)
        held.fetches.add(fetch)
        self._fetches += 1
        try:
            async for answer in fetch:
                yield answer
        finally:
            fetch.cancel()
            self._fetches -= 1
            held.fetches.discard(fetch)
            held.used_at = time.monotonic()

    async def close_idle(self) -> None:
        """Closes channels that nobody has used for BULK_IDLE_S. To be called now and then."""
        now = time.monotonic()
        await self._close(
            [
                key
                for key, held in self._held.items()
                if not held.fetches and now - held.used_at >= BULK_IDLE_S
            ]
        )

    async def close_unwelcome(self, check: PeerCheck) -> None:
        """Breaks what is fetched from peers that are not welcome any more."""
        await self._close([k for k, held in self._held.items() if refusal(held.peer, check)])

    async def close(self) -> None:
        """Closes all channels."""
        await self._close(list(self._held))

    async def _hold(self, peer: Certified, address: str, wan: bool) -> _Held:
        key = (peer.tls_key, address)
        if key not in self._held:
            await self._make_room()
        if key not in self._held:  # still: another fetch may have come between
            self._held[key] = self._opened(peer, address, wan)
        return self._held[key]

    def _opened(self, peer: Certified, address: str, wan: bool) -> _Held:
        try:
            where = target(address)
        except AddressRefused as refused:
            raise BulkFailed(str(refused), at_fault=True) from None
        credentials = client_credentials(self.material, peer.der)
        options = bulk_options(peer.identity.dns_name, wan)
        channel = grpc.aio.secure_channel(where, credentials, options=options)
        return _Held(peer, channel, set(), time.monotonic())

    async def _make_room(self) -> None:
        idle = [key for key, held in self._held.items() if not held.fetches]
        if len(self._held) >= BULK_CHANNELS_MAX:
            await self._close(idle[:1])

    async def _close(self, keys: Sequence[tuple[bytes, str]]) -> None:
        for key in keys:
            held = self._held.pop(key, None)
            if held is not None:
                for fetch in list(held.fetches):
                    fetch.cancel()
                await held.channel.close(None)
