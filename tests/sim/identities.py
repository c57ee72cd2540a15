"""Keys and certificates of a small mesh, for tests: made once, by number, never secret."""

import functools
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.heads.certificates import Certified, issue, make_authority, read_certificate
from mesh.heads.identity import Identity
from mesh.registers.store import NodeKeys
from mesh.signed import Signer
from protos.documents_pb2 import TrustBody, TrustedKey

MESH = "testmesh"
MASTER = "master-1"
SERIAL = 2
"""Of every certificate that the mesh's authority issues here; boxes count from 3."""


@functools.cache
def signer(name: str) -> Signer:
    """An Ed25519 signer that is always the same for a name."""
    return Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


@functools.cache
def tls_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 key that is always the same for a name."""
    number = int.from_bytes(hashlib.sha256(b"tls" + name.encode()).digest(), "big")
    return ec.derive_private_key(number % (2**255) + 1, ec.SECP256R1())


@functools.cache
def authority() -> bytes:
    """The certificate (DER) of the test mesh's issuing authority."""
    return make_authority(tls_key("authority"), MESH, serial=1)


@functools.cache
def certificate(identity: Identity) -> Certified:
    """The certificate of an identity of the test mesh."""
    der = issue(
        tls_key("authority"),
        authority(),
        identity,
        tls_key(identity.uri).public_key(),
        signer(identity.uri).public_key,
        serial=SERIAL,
    )
    return read_certificate(der)


def renewed(identity: Identity, keys: str) -> tuple[Certified, Signer]:
    """The certificate of an identity with other keys, and what signs with them; `keys` tells them
    apart."""
    name = f"{identity.uri} {keys}"
    tls, signs = tls_key(name).public_key(), signer(name)
    der = issue(tls_key("authority"), authority(), identity, tls, signs.public_key, SERIAL)
    return read_certificate(der), signs


def node_identity(site: str, node: str) -> Identity:
    """The identity of a node of the test mesh."""
    return Identity(MESH, "node", node, site)


def node_keys(site: str, node: str) -> NodeKeys:
    """What the node's certificate says, as its register's check gives it."""
    certified = certificate(node_identity(site, node))
    return NodeKeys(node, site, certified.signing_key, certified.tls_key)


@functools.cache
def trust_envelope(generation: int = 1) -> bytes:
    """The test mesh's trust head."""
    keys = [
        TrustedKey(public_key=signer("state").public_key, role="state", name=MASTER),
        TrustedKey(public_key=signer("acks").public_key, role="acknowledge", name=MASTER),
        TrustedKey(public_key=signer("release").public_key, role="release", name="builds"),
        TrustedKey(public_key=signer("ann").public_key, role="operator", name="ann"),
    ]
    body = TrustBody(
        mesh=MESH,
        generation=generation,
        authorities=[authority()],
        keys=keys,
        masters=[MASTER],
        signed_unix_ms=1,
        min_reader=1,
    )
    return signer("root").sign("trust", body.SerializeToString(deterministic=True))
