"""Keys and certificates of a throwaway mesh, as PEM files."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.heads.certificates import issue, make_authority, pem
from mesh.heads.identity import Identity
from node.runtime.config import TlsPaths


@dataclass(frozen=True)
class Holder:
    """An identity, its files, and the digest by which it is revoked."""

    identity: Identity
    paths: TlsPaths
    tls_key: bytes


class Authority:
    """Issues certificates of one mesh into a folder."""

    def __init__(self, folder: Path, mesh: str = "test") -> None:
        self.mesh = mesh
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._der = make_authority(self._key, mesh, serial=1)
        self._serial = 1
        folder.mkdir(parents=True, exist_ok=True)
        self.pem = folder / "authority.pem"
        for path in (self.pem, folder / "authorities.pem"):
            path.write_bytes(pem(self._der))

    def issue(self, identity: Identity) -> Holder:
        """A key and a certificate for `identity`."""
        self._serial += 1
        key = ec.generate_private_key(ec.SECP256R1())
        signing = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        der = issue(self._key, self._der, identity, key.public_key(), signing, self._serial)
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        paths = TlsPaths(
            key=self._folder / f"{identity.name}.key",
            certificate=self._folder / f"{identity.name}.pem",
            authorities=self._folder / "authorities.pem",
        )
        paths.certificate.write_bytes(pem(der))
        paths.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return Holder(identity, paths, sha256(spki).digest())

    def node(self, name: str) -> Holder:
        """A node of the site north."""
        return self.issue(Identity(self.mesh, "node", name, "north"))
