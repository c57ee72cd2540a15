"""Keys from numbers, so that every run signs the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.heads.certificates import make_authority
from mesh.heads.trust import Trust
from mesh.signed import Signer
from protos.documents_pb2 import StateBody, TrustBody, TrustedKey


def tls_key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


def signer(number: int) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))


@dataclass
class Authority:
    """A mesh's offline root, a master's keys, and what they sign."""

    root: Signer = field(default_factory=lambda: signer(1))
    master: Signer = field(default_factory=lambda: signer(2))
    release: Signer = field(default_factory=lambda: signer(3))
    certificate: bytes = field(default_factory=lambda: make_authority(tls_key(9), "acme", 1))

    def trust_body(self, generation: int = 1) -> TrustBody:
        return TrustBody(
            mesh="acme",
            generation=generation,
            authorities=[self.certificate],
            keys=[
                TrustedKey(public_key=self.master.public_key, role="state", name="master-1"),
                TrustedKey(public_key=self.master.public_key, role="acknowledge", name="master-1"),
                TrustedKey(public_key=self.release.public_key, role="release", name="build"),
            ],
            masters=["master-1"],
            signed_unix_ms=1_700_000_000_000,
            min_reader=1,
        )

    def sign_trust(self, body: TrustBody) -> bytes:
        return self.root.sign("trust", body.SerializeToString(deterministic=True))

    def trust(self, generation: int = 1) -> Trust:
        return Trust(self.root.public_key, self.sign_trust(self.trust_body(generation)))

    def state_body(self, counter: int, trust: int = 1, root: int = 0) -> StateBody:
        return StateBody(
            mesh="acme",
            trust_generation=trust,
            counter=counter,
            root=bytes([root]) * 32,
            leaves=3,
            signed_unix_ms=1_700_000_000_000,
            min_reader=1,
        )

    def sign_state(self, body: StateBody, by: Signer | None = None) -> bytes:
        return (by or self.master).sign("state", body.SerializeToString(deterministic=True))

    def state(self, counter: int, trust: int = 1, root: int = 0) -> bytes:
        return self.sign_state(self.state_body(counter, trust, root))


@pytest.fixture(scope="session")
def acme() -> Authority:
    """The authority of the mesh `acme`."""
    return Authority()


@pytest.fixture(scope="session")
def make_signer() -> Callable[[int], Signer]:
    """A signing key from a number."""
    return signer
