"""The keys of a master and of an operator, as `initialise` made them, read back and checked.

What is read is checked against the trust root that lies beside it, so that a folder whose files
were mixed up or damaged is refused by name before anything is signed or sent.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.heads.certificates import (
    Certified,
    check_certificate,
    der_from_pem,
    pem,
    read_certificate,
    tls_key_digest,
)
from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.outcome import HeadRefused
from mesh.heads.trust import open_trust
from mesh.signed import Signer
from node.disk.authority_folder import KEYS, FolderRefused
from protos.documents_pb2 import TrustBody

DELEGATED_FOLDER = "delegated"
"""The folder in an operator's keys with the certificates of who admits boxes by his delegation."""
DELEGATED = "delegated.der"
"""The file of a node that was admitted at its site: the certificate (DER) of who did it."""
FILE_BYTES_MAX = 64 * 1024
"""Of any file here; the largest is the trust head, of 12 KiB with a hundred keys."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What an end of a TLS connection needs: PEM bytes of its key, certificate and authorities.
    `delegated_pem`: of those that an operator knows to admit boxes, good for nodes alone."""

    key_pem: bytes
    certificate_pem: bytes
    authorities_pem: bytes
    delegated_pem: bytes = b""


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """A master's identity, and what it issues and signs with."""

    identity: Identity
    root_key: bytes
    trust_envelope: bytes
    tls: TlsFiles
    signer: Signer
    state_signer: Signer
    acknowledge_signer: Signer
    authority_key: ec.EllipticCurvePrivateKey
    authority_der: bytes

    @property
    def mesh(self) -> str:
        """The mesh's name."""
        return self.identity.mesh

    @classmethod
    def load(cls, folder: Path) -> "MasterKeys":
        """Reads a master's data folder. Raises FolderRefused, which names the file."""
        reader = _Reader(folder, "master")
        state = Signer(reader.signing_key("state-key.pem"))
        acknowledge = Signer(reader.signing_key("acknowledge-key.pem"))
        reader.check_role("state-key.pem", "state", state)
        reader.check_role("acknowledge-key.pem", "acknowledge", acknowledge)
        authority_key = reader.authority_key()
        return cls(
            identity=reader.identity,
            root_key=reader.root_key,
            trust_envelope=reader.trust_envelope,
            tls=reader.tls,
            signer=reader.signer,
            state_signer=state,
            acknowledge_signer=acknowledge,
            authority_key=authority_key,
            authority_der=reader.bytes("authority.der"),
        )


@dataclass(frozen=True, slots=True)
class OperatorKeys:
    """An operator's identity, and what he signs and releases with."""

    identity: Identity
    root_key: bytes
    trust_envelope: bytes
    tls: TlsFiles
    signer: Signer
    release_signer: Signer

    @property
    def mesh(self) -> str:
        """The mesh's name."""
        return self.identity.mesh

    @classmethod
    def load(cls, folder: Path) -> "OperatorKeys":
        """Reads an operator's folder. Raises FolderRefused, which names the file."""
        reader = _Reader(folder, "operator")
        release = Signer(reader.signing_key("release-key.pem"))
        reader.check_role("release-key.pem", "release", release)
        return cls(
            identity=reader.identity,
            root_key=reader.root_key,
            trust_envelope=reader.trust_envelope,
            tls=replace(reader.tls, delegated_pem=_delegated(folder / KEYS / DELEGATED_FOLDER)),
            signer=reader.signer,
            release_signer=release,
        )


class _Reader:
    """Reads one role's folder: what both roles have at once, the rest when asked."""

    def __init__(self, folder: Path, role: str) -> None:
        self._folder = folder / KEYS
        self._role = role
        self.root_key = self.bytes("root.public")
        self.trust_envelope = self.bytes("trust")
        self.trust = self._trust()
        self.tls = TlsFiles(
            self.bytes("tls-key.pem"), self.bytes("tls.pem"), self.bytes("authorities.pem")
        )
        self.signer = Signer(self.signing_key("signing-key.pem"))
        self.identity = self._identity()

    def bytes(self, name: str) -> bytes:
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise self._refused(name, "it is missing") from None
        except OSError as error:
            raise self._refused(name, str(error.strerror)) from None
        if len(data) > FILE_BYTES_MAX:
            raise self._refused(name, f"it is larger than {FILE_BYTES_MAX} bytes")
        return data

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        key = self._private_key(name)
        if not isinstance(key, Ed25519PrivateKey):
            raise self._refused(name, "it holds no Ed25519 key")
        return key

    def authority_key(self) -> ec.EllipticCurvePrivateKey:
        key = self._private_key("authority-key.pem")
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise self._refused("authority-key.pem", "it holds no P-256 key")
        if self.bytes("authority.der") not in self.trust.authorities:
            raise self._refused("authority.der", "the trust root does not name this authority")
        return key

    def check_role(self, name: str, role: str, signer: Signer) -> None:
        named = [key.public_key for key in self.trust.keys if key.role == role]
        if signer.public_key not in named:
            raise self._refused(name, f"the trust root gives this key no role {role!r}")

    def _private_key(self, name: str) -> object:
        data = self.bytes(name)
        try:
            return load_pem_private_key(data, password=None)
        except (ValueError, TypeError):
            raise self._refused(name, "it holds no private key") from None

    def _trust(self) -> TrustBody:
        try:
            return open_trust(self.root_key, self.trust_envelope)
        except (HeadRefused, ValueError) as refused:
            raise self._refused("trust", str(refused)) from None

    def _identity(self) -> Identity:
        try:
            der = der_from_pem(self.tls.certificate_pem)
            authorities = list(self.trust.authorities)
            if (self._folder / DELEGATED).exists():  # this machine was admitted at its site
                authorities.append(self.bytes(DELEGATED))
            certified = check_certificate(der, authorities, self.trust.mesh)
        except IdentityRefused as refused:
            raise self._refused("tls.pem", str(refused)) from None
        key = self._private_key("tls-key.pem")
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            tls_key_digest(key.public_key()) != certified.tls_key
        ):
            raise self._refused("tls-key.pem", "it is not the key of the certificate in tls.pem")
        if certified.signing_key != self.signer.public_key:
            raise self._refused("signing-key.pem", "it is not the key that the certificate names")
        if certified.identity.role != self._role:
            raise self._refused(
                "tls.pem", f"its role is {certified.identity.role}, not {self._role}"
            )
        return certified.identity

    def _refused(self, name: str, what: str) -> FolderRefused:
        advice = f"name the {self._role}'s folder that `meshctl init` made, or restore it"
        return FolderRefused(f"{self._folder / name}: {what}; nothing was changed; {advice}")


def _delegated(folder: Path) -> bytes:
    """The authorities that admit boxes (PEM), as far as this operator made them."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    try:
        return b"".join(pem((folder / name).read_bytes()) for name in names)
    except (OSError, IdentityRefused) as error:
        raise FolderRefused(f"{folder}: {error}; remove what is no certificate there") from None


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """A node's identity. It can sign nothing but what the node says of itself."""

    identity: Identity
    root_key: bytes
    trust_envelope: bytes
    tls: TlsFiles
    signer: Signer
    certified: Certified

    @property
    def mesh(self) -> str:
        """The mesh's name."""
        return self.identity.mesh

    @classmethod
    def load(cls, folder: Path) -> "NodeKeys":
        """Reads a node's data folder. Raises FolderRefused, which names the file."""
        reader = _Reader(folder, "node")
        return cls(
            identity=reader.identity,
            root_key=reader.root_key,
            trust_envelope=reader.trust_envelope,
            tls=reader.tls,
            signer=reader.signer,
            certified=read_certificate(der_from_pem(reader.tls.certificate_pem)),
        )
