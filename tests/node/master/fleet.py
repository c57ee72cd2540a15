"""A mesh of one master for the tests, and machines that want to join it."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mesh.blobs.manifest import FileHasher, seal
from mesh.heads.tokens import parse_token
from mesh.signed import Signer
from node.disk.authority_folder import MeshPaths
from node.disk.authority_keys import MasterKeys, OperatorKeys
from node.master.authority import Authority
from node.master.requests import EnrolmentRequest
from node.master.store import SqliteStore
from protos.documents_pb2 import Manifest

START_MS = 1_700_000_000_000


@dataclass
class Clock:
    """A wall clock that stands until it is moved."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms


class Fleet:
    """A master with its authority, which can be closed and opened again."""

    def __init__(self, paths: MeshPaths, folder: Path) -> None:
        self.path = folder / "store.sqlite"
        self.keys = MasterKeys.load(paths.master)
        self.operator = OperatorKeys.load(paths.operator)
        self.clock = Clock()
        self.asking = ""
        self.open()

    def open(self) -> None:
        self.store = SqliteStore(self.path, "acme")
        self.authority = Authority(self.store, self.keys, self.clock, lambda: self.asking)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def join(self, node: str, site: str, machine: "Machine | None" = None) -> "Machine":
        """Enrols a machine with a fresh token."""
        machine = machine or Machine()
        token = self.authority.create_token(site).text
        self.authority.redeem(machine.request(token, node))
        return machine

    def manifest(self, name: str, version: str, kind: str = "data", data: bytes = b"x") -> bytes:
        """A signed manifest of one file."""
        role = "onnx" if kind == "model" else "data"
        hasher = FileHasher(role, 64 * 1024)
        hasher.feed(data)
        manifest = Manifest(name=name, version=version, kind=kind, chunk_bytes=64 * 1024)
        manifest.files.append(hasher.file())
        if kind == "model":
            manifest.limits.memory_bytes = 64 * 1024**2
            manifest.limits.load_ms = 10_000
        return seal(manifest, self.operator.release_signer)

    def release(self, name: str, version: str, kind: str = "model") -> None:
        """Releases a small artifact."""
        self.authority.release(self.manifest(name, version, kind))


@dataclass
class Machine:
    """A machine with keys of its own."""

    tls_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def tls_request(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever")])
        builder = x509.CertificateSigningRequestBuilder(subject_name=name)
        return builder.sign(self.tls_key, SHA256()).public_bytes(Encoding.DER)

    def request(self, token: str, node: str) -> EnrolmentRequest:
        parsed = parse_token(token)
        signer = Signer(self.signing_key)
        tls_request = self.tls_request()
        return EnrolmentRequest(
            token_id=parsed.id,
            secret=parsed.secret,
            node=node,
            tls_request=tls_request,
            signing_key=signer.public_key,
            signing_proof=signer.sign("enrol", tls_request),
        )
