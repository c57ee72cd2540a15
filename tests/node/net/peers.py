"""Peers of a small mesh, on 127.0.0.1, with real certificates: servers, links, and strangers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mesh.heads.certificates import Certified, issue, make_authority, pem, read_certificate
from mesh.heads.identity import Identity
from node.net.credentials import TlsMaterial
from node.net.dialling import Dialler
from node.net.identity import PeerCheck
from node.net.link_table import LinkServicer, LinkTable
from node.net.links import Link
from node.net.policy import Policy
from node.net.server import Server, Service
from tests.sim import identities
from tests.sim.identities import MESH, node_identity

MASTER = Identity(MESH, "master", "master-1")
OPERATOR = Identity(MESH, "operator", "ann")
NODE_A = node_identity("north", "a")
NODE_B = node_identity("north", "b")
NODE_C = node_identity("south", "c")
STRANGER = Identity("othermesh", "node", "b", "north")
HELLO = b"hello"


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as a daemon would read it from its folder."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certified(identity: Identity) -> Certified:
    """What the identity's certificate in the test mesh says."""
    return identities.certificate(identity)


def material(identity: Identity) -> TlsMaterial:
    """What an end with that identity shows and trusts."""
    return TlsMaterial(
        key_pem(identities.tls_key(identity.uri)),
        pem(certified(identity).der),
        pem(identities.authority()),
    )


def other_authority(mesh: str) -> bytes:
    """The certificate of an authority that is not the test mesh's, whatever its name says."""
    return make_authority(identities.tls_key("other authority"), mesh, serial=9)


def foreign_material(identity: Identity) -> TlsMaterial:
    """A certificate that another authority issued; its holder trusts that authority alone."""
    key = identities.tls_key("foreign " + identity.uri)
    signing_key = identities.signer("foreign").public_key
    authority = other_authority(identity.mesh)
    other = identities.tls_key("other authority")
    der = issue(other, authority, identity, key.public_key(), signing_key, 7)
    read_certificate(der)
    return TlsMaterial(key_pem(key), pem(der), pem(authority))


@dataclass
class Peer:
    """One end: it checks, listens and dials as a daemon would."""

    identity: Identity
    material: TlsMaterial
    revoked: dict[bytes, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    greet: bool = True
    reads: bool = True

    def __post_init__(self) -> None:
        self.authorities = [identities.authority()]
        self.check = PeerCheck(MESH, lambda: self.authorities, self.revoked.get)
        self.table = LinkTable()
        self.dialler = Dialler(self.material, self.check, self.table)
        self.server = Server()
        self.changed = asyncio.Event()
        self._readers: set[asyncio.Task[None]] = set()

    async def listen(self, *services: Service, policy: Policy | None = None) -> str:
        """Serves links, and `services`; the address."""
        servicer = LinkServicer(self.identity, self.table, self.on_link)
        return await self.server.start(
            "127.0.0.1:0",
            self.material,
            [servicer.service, *services],
            policy or Policy(self.check),
        )

    async def dial(self, address: str, expected: Identity, *, wan: bool = False) -> Link:
        """Dials, and then behaves as with an accepted link."""
        link = await self.dialler.dial(address, expected, wan=wan)
        self.on_link(link)
        return link

    def on_link(self, link: Link) -> None:
        """Greets and reads, as an agent does."""
        self.links.append(link)
        if self.greet:
            link.send(HELLO)
        if self.reads:
            self._readers.add(asyncio.create_task(self._read(link)))
        self.changed.set()

    async def _read(self, link: Link) -> None:
        async for frame in link:
            self.received.append(frame)
            self.changed.set()
        self.changed.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Waits until something about this peer holds."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def stop(self) -> None:
        """Ends links and server."""
        self.table.close_all("the test is over")
        await self.server.stop(0)
        for link in self.links:
            await link.ended()
        await asyncio.gather(*self._readers)


def peer(identity: Identity) -> Peer:
    """A peer of the test mesh."""
    return Peer(identity, material(identity))
