"""What a box asks that an operator at its site is to admit: one line of text that a person carries.

`R1.` and base64 of an envelope that the box's signing key signed, around a TLS request that its TLS
key signed and that names the site, the ID asked for and the signing key. So both keys vouch for all
of it: nothing in it can be altered, and nobody asks with keys that he does not have.
"""

import base64
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from google.protobuf.message import DecodeError

from mesh.heads.certificates import tls_key_digest
from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.limits import KEY_BYTES
from mesh.heads.tls_requests import TlsRequestRefused, make_tls_request, open_tls_request
from mesh.signed import SignatureRefused, Signer, open_envelope, verify
from protos.documents_pb2 import AdmissionRequest

KIND = "admission-request"
"""The payload type of the envelope."""
VERSION = "R1"
REQUEST_MAX = 4096
"""Characters of a request; ours have 800."""


class RequestRefused(ValueError):
    """The text is no request, or not what its box asked. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A box that has shown that it holds both private keys. `tls_key`: SHA-256 of the
    SubjectPublicKeyInfo; `signing_key`: raw Ed25519."""

    site: str
    node: str
    tls_public_key: ec.EllipticCurvePublicKey
    tls_key: bytes
    signing_key: bytes


def make_request(site: str, node: str, tls_key: ec.EllipticCurvePrivateKey, signer: Signer) -> str:
    """The request of a box for `site` under the ID `node`. Raises IdentityRefused."""
    check_name("site", site)
    check_name("the node ID", node)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, site),
            x509.NameAttribute(NameOID.COMMON_NAME, node),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, signer.public_key.hex()),
        ]
    )
    request = AdmissionRequest(tls_request=make_tls_request(tls_key, subject))
    envelope = signer.sign(KIND, request.SerializeToString(deterministic=True))
    return f"{VERSION}.{base64.urlsafe_b64encode(envelope).decode()}"


def open_request(text: str) -> Asked:
    """What the request in `text` asks, spaces around it ignored. Raises RequestRefused."""
    envelope = _envelope(text.strip())
    try:
        body = AdmissionRequest.FromString(open_envelope(envelope, KIND).payload)
        subject, public_key = open_tls_request(body.tls_request)
        site, node = _one(subject, NameOID.ORGANIZATION_NAME), _one(subject, NameOID.COMMON_NAME)
        check_name("site", site)
        check_name("node", node)
        signing_key = bytes.fromhex(_one(subject, NameOID.SERIAL_NUMBER))
        if len(signing_key) != KEY_BYTES:
            raise RequestRefused(f"its signing key has not {KEY_BYTES} bytes")
        verify(envelope, KIND, [signing_key])
    except (SignatureRefused, DecodeError, TlsRequestRefused, IdentityRefused, ValueError) as error:
        raise RequestRefused(
            f"the request is not as a box made it ({error}): it was altered, or copied in part; "
            "take it again from the box: meshd node request"
        ) from None
    return Asked(site, node, public_key, tls_key_digest(public_key), signing_key)


def _envelope(text: str) -> bytes:
    version, dot, encoded = text.partition(".")
    if len(text) > REQUEST_MAX or not dot or version != VERSION:
        raise RequestRefused(
            f"this is no request: one begins with {VERSION}. and has at most {REQUEST_MAX} "
            "characters; make it on the box: meshd node request --site SITE --data DIR"
        )
    try:
        return base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:  # not only binascii.Error: text that is not ASCII is another one
        raise RequestRefused(
            "the request is truncated, or was altered: copy the whole line that the box prints"
        ) from None


def _one(subject: x509.Name, oid: ObjectIdentifier) -> str:
    found = subject.get_attributes_for_oid(oid)
    if len(found) != 1:
        raise RequestRefused("its TLS request does not name site, ID and signing key, each once")
    return str(found[0].value)
