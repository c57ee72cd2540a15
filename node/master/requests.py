"""The proofs in a machine's request to be enrolled: it holds both of its private keys."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from mesh.heads.certificates import tls_key_digest
from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.tls_requests import TlsRequestRefused, open_tls_request
from mesh.signed import SignatureRefused, verify
from node.master.errors import EnrolRefused

PROOF_KIND = "enrol"
"""The payload type of the signing key's proof."""
PROOF_BYTES_MAX = 4096
"""Of the signing key's proof: the request and 150 bytes around it."""
SIGNING_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """What a machine sends. Nothing in it has been checked."""

    token_id: str
    secret: str = field(repr=False)
    node: str
    tls_request: bytes
    """PKCS #10, DER."""
    signing_key: bytes
    """Raw Ed25519."""
    signing_proof: bytes
    """An envelope of kind `enrol` over `tls_request`."""


@dataclass(frozen=True, slots=True)
class ProvenKeys:
    """Both public keys of a machine that has shown that it holds the private ones."""

    tls_public_key: ec.EllipticCurvePublicKey
    tls_key: bytes
    """SHA-256 of its SubjectPublicKeyInfo."""
    signing_key: bytes


def check_proofs(request: EnrolmentRequest) -> ProvenKeys:
    """The keys of `request`, if both proofs hold and the ID is a name. Raises EnrolRefused."""
    try:
        check_name("node", request.node)
    except IdentityRefused as refused:
        raise EnrolRefused(str(refused)) from None
    if len(request.signing_key) != SIGNING_KEY_BYTES:
        raise _bad("the signing key has not 32 bytes")
    try:
        _, public_key = open_tls_request(request.tls_request)
    except TlsRequestRefused as refused:
        raise _bad(str(refused)) from None
    _check_signing_proof(request)
    return ProvenKeys(public_key, tls_key_digest(public_key), request.signing_key)


def _check_signing_proof(request: EnrolmentRequest) -> None:
    if len(request.signing_proof) > PROOF_BYTES_MAX:
        raise _bad(f"the signing proof has more than {PROOF_BYTES_MAX} bytes")
    try:
        verified = verify(request.signing_proof, PROOF_KIND, [request.signing_key])
    except SignatureRefused as refused:
        raise _bad(f"the signing proof does not hold ({refused})") from None
    if verified.payload != request.tls_request:
        raise _bad("the signing proof is for another request")


def _bad(what: str) -> EnrolRefused:
    return EnrolRefused(f"{what}: the machine that joins is at fault; use meshd node join there")
