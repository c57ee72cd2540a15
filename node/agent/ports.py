"""The peer port of a daemon and its outgoing connections: links, bulk, admin, one identity."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from mesh.heads.certificates import Certified, pem
from mesh.heads.identity import Identity
from node.admin.backend import Backend
from node.admin.server import AdminServicer
from node.disk.authority_keys import TlsFiles
from node.net.bulk import BulkFailed, ChunkServicer
from node.net.bulk_pool import BulkPool
from node.net.credentials import TlsMaterial
from node.net.dialling import Dialler
from node.net.identity import PeerCheck
from node.net.link_table import LinkServicer, LinkTable
from node.net.links import Link
from node.net.policy import Policy
from node.net.server import Server
from protos.admin_pb2_grpc import add_AdminServicer_to_server

FETCH_S_A_CHUNK = 10.0
"""A megabyte at 100 KB/s: less is slower than a source may be."""
RECHECK_S = 2.0
"""Between two looks at whether trust or revocations have changed: what a revoked peer has open, and
is silent, ends within it."""
STOP_GRACE_S = 1.0


class Ports:
    """What this daemon shows to the network, and how it reaches others.

    `authorities` are the DER certificates trusted now; `is_revoked` gives a reason or None;
    `delegated` are the certificates of those who may admit boxes, `box` judges a box's.
    """

    def __init__(
        self,
        own: Identity,
        tls: TlsFiles,
        authorities: Callable[[], Sequence[bytes]],
        is_revoked: Callable[[bytes], str | None],
        delegated: Callable[[], Sequence[bytes]],
        box: Callable[[bytes], Certified],
    ) -> None:
        self._own = own
        self._tls = tls
        self._authorities = authorities
        self._delegated = delegated
        self.table = LinkTable()
        self.check = PeerCheck(own.mesh, authorities, is_revoked, box)
        self._dialler = Dialler(self._material(), self.check, self.table)
        self._bulk = BulkPool(self._material())
        self._server = Server()
        self._reached: dict[str, Certified] = {}
        self.served_bytes = 0

    async def serve(
        self,
        address: str,
        backend: Backend,
        on_link: Callable[[Link], None],
        read_chunk: Callable[[bytes, int], Awaitable[bytes | None]],
    ) -> str:
        """Opens the peer port; returns the address with the port it got. Raises ListenFailed."""
        admin = AdminServicer(backend)

        def add_admin(server: grpc.aio.Server) -> None:
            add_AdminServicer_to_server(admin, server)

        services = [
            LinkServicer(self._own, self.table, on_link).service,
            ChunkServicer(read_chunk, self._count).service,
            ("mesh.v1.Admin", add_admin),
        ]
        return await self._server.start(address, self._material(), services, Policy(self.check))

    async def dial(self, address: str, expected: Identity, wan: bool) -> Link:
        """Opens a link. Raises DialFailed."""
        link = await self._dialler.dial(address, expected, wan=wan)
        self._reached[expected.name] = link.peer
        return link

    async def fetch(
        self,
        source: Identity,
        certificate: bytes,
        address: str,
        artifact: bytes,
        chunks: tuple[int, ...],
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        """Chunks from a peer, each with its bytes or None if it has it not. Raises BulkFailed.

        `certificate` (DER) is the one that the peer's register carries; empty for a master, of
        which the one is used that it showed when it was dialled.
        """
        wan = source.role == "master"
        peer = self.check.check(certificate) if certificate else self._reached.get(source.name)
        if peer is None:
            raise BulkFailed(f"{source.name} was not reached yet", at_fault=False)
        answers = self._bulk.fetch(
            peer, address, artifact, chunks, wan=wan, timeout_s=FETCH_S_A_CHUNK * len(chunks)
        )
        async with aclosing(answers):  # type: ignore[type-var]  # it is a generator
            async for answer in answers:
                yield answer.chunk, None if answer.missing else answer.data

    async def tidy(self) -> None:
        """Follows trust and revocations, and closes idle bulk channels. Cancel to end."""
        while True:
            await asyncio.sleep(RECHECK_S)
            await self.recheck()
            await self._bulk.close_idle()

    async def recheck(self) -> None:
        """Trust or revocations may have changed: other authorities are trusted from the next
        handshake on, and all ends that is open with peers and callers who are not welcome."""
        material = self._material()
        if material != self._dialler.material:
            self._server.replace_material(material)
            self._dialler.material = material
            self._bulk.material = material
        self.table.close_unwelcome(self.check)
        self._server.end_unwelcome()
        await self._bulk.close_unwelcome(self.check)

    async def stop(self) -> None:
        """Closes everything."""
        self.table.close_all("this daemon stops")
        await self._server.stop(STOP_GRACE_S)

    def _material(self) -> TlsMaterial:
        authorities = b"".join(pem(der) for der in self._authorities())
        delegated = b"".join(pem(der) for der in self._delegated())
        trusted = (authorities or self._tls.authorities_pem) + delegated
        return TlsMaterial(self._tls.key_pem, self._tls.certificate_pem, trusted)

    def _count(self, _peer: Any, payload_bytes: int) -> None:
        self.served_bytes += payload_bytes
