"""Dialling a peer: look who is there, check it, then connect to exactly that certificate.

The look costs one handshake more, once for an address: after that the certificate is remembered,
and TLS accepts no other, until that fails. "The WAN is down", "somebody else is there" and "my
certificate is refused" are three different errors.
"""

import asyncio
from contextlib import suppress

import grpc

from mesh.addresses import target
from mesh.heads.certificates import Certified
from mesh.heads.identity import Identity, IdentityRefused
from node.net.credentials import TlsMaterial, client_credentials
from node.net.failures import DialFailed, DialKind, unreachable
from node.net.identity import PeerCheck, PeerRevoked
from node.net.link_table import LinkTable
from node.net.links import Link
from node.net.look import look, refusal
from node.net.patience import in_time
from node.net.settings import ADDRESSES_REMEMBERED, DIAL_TIMEOUT_S, control_options
from node.net.streams import DialledStream

_BY_CODE: dict[grpc.StatusCode, DialKind] = {
    grpc.StatusCode.PERMISSION_DENIED: "refused",
    grpc.StatusCode.UNAUTHENTICATED: "own_certificate",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "busy",
}
"""What a peer that was reached says for itself."""


class Dialler:
    """Opens links. `material` may be replaced; it holds for the next dial."""

    def __init__(self, material: TlsMaterial, check: PeerCheck, table: LinkTable) -> None:
        self.material = material
        self._check = check
        self._table = table
        self._known: dict[tuple[str, str], bytes] = {}  # address, URI -> certificate
        self._running: set[asyncio.Task[None]] = set()

    async def dial(
        self, address: str, expected: Identity, *, wan: bool, timeout_s: float = DIAL_TIMEOUT_S
    ) -> Link:
        """A link with `expected` at HOST:PORT, on which its first frame has arrived.

        Raises DialFailed. Takes at most four times `timeout_s`, and that only where every step is
        slow; a box that is off costs one.
        """
        key = (address, expected.uri)
        known = self._known.pop(key, None)
        if known is not None:
            with suppress(DialFailed):  # enrolled again meanwhile, or gone: a look tells
                return await self._connect(
                    key, self._identified(address, expected, known), wan, timeout_s
                )
        der = await look(address, timeout_s)
        return await self._connect(key, self._identified(address, expected, der), wan, timeout_s)

    async def _connect(
        self, key: tuple[str, str], peer: Certified, wan: bool, timeout_s: float
    ) -> Link:
        address = key[0]
        link = self._open(address, peer, wan, timeout_s)
        try:
            greeted = await in_time(link.first_frame(), timeout_s)
        except TimeoutError:
            greeted = False
            link.close(f"nothing was heard within {timeout_s:g} s")
        if not greeted:
            raise await self._why(address, link, timeout_s)
        self._remember(key, peer.der)
        return link

    def _identified(self, address: str, expected: Identity, der: bytes) -> Certified:
        try:
            peer = self._check.check(der)
        except PeerRevoked as refused:
            raise DialFailed("peer_revoked", f"{address}: {refused}") from None
        except IdentityRefused as refused:
            raise DialFailed("other_mesh", f"{address}: {refused}") from None
        if peer.identity == expected:
            return peer
        raise DialFailed(
            "wrong_identity",
            f"{address}: expected {expected.uri}, but {peer.identity.uri} is there; nothing was "
            "sent to it. Correct the address, or wait until the right one is back",
        )

    def _open(self, address: str, peer: Certified, wan: bool, timeout_s: float) -> Link:
        options = control_options(peer.identity.dns_name, wan, timeout_s)
        credentials = client_credentials(self.material, peer.der)
        channel = grpc.aio.secure_channel(target(address), credentials, options=options)
        link = Link(peer, DialledStream(channel), dialled=True, wan=wan)
        running = asyncio.create_task(self._run(link))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return link

    async def _run(self, link: Link) -> None:
        self._table.add(link)
        try:
            await link.run()
        finally:
            self._table.discard(link)

    async def _why(self, address: str, link: Link, timeout_s: float) -> DialFailed:
        """gRPC says "unavailable" for nearly all; TLS itself tells the reasons apart."""
        detail = await link.ended()
        if link.code in _BY_CODE:
            return DialFailed(_BY_CODE[link.code], f"{address}: {detail}")
        said = await refusal(address, self.material, timeout_s)
        if said is None:
            return unreachable(address, detail)
        return DialFailed(
            "own_certificate",
            f"{address}: {link.peer.identity.uri} is there and does not take this machine's "
            f"certificate ({said}). Enrol this machine again, or look whether its mesh is the "
            "right one",
        )

    def _remember(self, key: tuple[str, str], der: bytes) -> None:
        if len(self._known) >= ADDRESSES_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[key] = der
