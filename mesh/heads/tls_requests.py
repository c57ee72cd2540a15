"""Requests for a certificate (PKCS #10): how a machine shows that it holds the private TLS key."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

TLS_REQUEST_BYTES_MAX = 2048
"""Of a PKCS #10 request in DER; one for a P-256 key has 250, with the longest names 450."""


class TlsRequestRefused(ValueError):
    """The bytes are no request, or not one that its own key signed. The text says what is wrong."""


def make_tls_request(key: ec.EllipticCurvePrivateKey, subject: x509.Name) -> bytes:
    """A request (DER) for `subject`, signed with its own key."""
    builder = x509.CertificateSigningRequestBuilder(subject_name=subject)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def open_tls_request(der: bytes) -> tuple[x509.Name, ec.EllipticCurvePublicKey]:
    """The subject of the request in `der` and its key on P-256. Raises TlsRequestRefused."""
    if len(der) > TLS_REQUEST_BYTES_MAX:
        raise TlsRequestRefused(f"the TLS request has more than {TLS_REQUEST_BYTES_MAX} bytes")
    try:
        request = x509.load_der_x509_csr(der)
        holds, key, subject = request.is_signature_valid, request.public_key(), request.subject
    except Exception:
        # Hostile bytes: the parser raises many kinds of errors, and all mean the same.
        raise TlsRequestRefused("the TLS request is no PKCS #10 request") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TlsRequestRefused("the TLS key is not on P-256")
    if not holds:
        raise TlsRequestRefused("the TLS request is not signed by its own key")
    return subject, key
