"""Certificates: they say who, never whether.

A certificate binds an identity to two keys: P-256 for TLS (its subject key, because gRPC refuses
Ed25519 certificates) and Ed25519 for signing (in an extension of our own, which TLS ignores).
Every certificate is valid from 1970 to 9999: a box whose clock is wrong, or that was away for
years, still reaches its neighbours. Whether the bearer may do a thing stands in the signed state.

Signing is deterministic (RFC 6979): the same input makes the same bytes.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mesh.heads.certificate_shape import (
    REPLACES_EXTENSION,
    SIGNING_KEY_EXTENSION,
    SIGNING_KEY_HEADER,
    USES,
    Certified,
    misshapen,
    parse,
    read_authority,
    read_leaf,
    tls_key_digest,
)
from mesh.heads.identity import Identity, IdentityRefused, check_name
from mesh.heads.limits import PEM_MAX_BYTES

__all__ = [
    "Certified",
    "UnknownIssuer",
    "check_authority",
    "check_certificate",
    "der_from_pem",
    "is_issued_by",
    "issue",
    "make_authority",
    "pem",
    "read_certificate",
    "tls_key_digest",
]


class UnknownIssuer(IdentityRefused):
    """A certificate that no authority of the trust head issued. A delegated one may have."""


VALID_FROM = datetime(1970, 1, 1, tzinfo=UTC)
VALID_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, 4.1.2.5: the date for a certificate without a well-defined end (as in IEEE 802.1AR)."""


def make_authority(private_key: ec.EllipticCurvePrivateKey, mesh: str, serial: int) -> bytes:
    """The self-signed certificate (DER) of an authority that issues identities of `mesh`.

    `serial` is a positive number that no other authority of the mesh has. Raises IdentityRefused
    for a bad mesh name or a key that is not on P-256.
    """
    check_name("mesh", mesh)
    name = _subject(mesh, f"authority {serial}")
    builder = _builder(name, name, private_key.public_key(), serial, private_key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    der = _sign(builder, private_key)
    check_authority(der, mesh)
    return der


def issue(
    authority_key: ec.EllipticCurvePrivateKey,
    authority_der: bytes,
    identity: Identity,
    tls_public_key: ec.EllipticCurvePublicKey,
    signing_key: bytes,
    serial: int,
    replaces: bytes = b"",
) -> bytes:
    """A certificate (DER) that binds `identity` to both keys.

    `signing_key` is a raw Ed25519 public key (32 bytes); `serial` is positive and unique to the
    authority; `replaces` is the TLS key (SHA-256 of its SubjectPublicKeyInfo) of the node whose
    place this one takes, or empty. What was made is read back: raises IdentityRefused where it
    would not be a good certificate (a TLS key that is not on P-256, a signing key of another
    length), or where `authority_der` is of another key or mesh.
    """
    authority = check_authority(authority_der, identity.mesh)
    if authority.public_key() != authority_key.public_key():
        raise IdentityRefused("the authority's certificate is not of the key that is to sign")
    subject = _subject(identity.mesh, identity.name)
    builder = _builder(subject, authority.subject, tls_public_key, serial, authority_key)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    uses = sorted(USES, key=lambda use: use.dotted_string)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    names = [x509.UniformResourceIdentifier(identity.uri), x509.DNSName(identity.dns_name)]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    binding = x509.UnrecognizedExtension(SIGNING_KEY_EXTENSION, SIGNING_KEY_HEADER + signing_key)
    builder = builder.add_extension(binding, critical=False)
    if replaces:
        replaced = x509.UnrecognizedExtension(REPLACES_EXTENSION, SIGNING_KEY_HEADER + replaces)
        builder = builder.add_extension(replaced, critical=False)
    der = _sign(builder, authority_key)
    read_certificate(der)
    return der


def read_certificate(der: bytes) -> Certified:
    """What the certificate in `der` says, its shape checked, its signature NOT.

    Raises IdentityRefused for whatever is no certificate of ours by its shape.
    """
    return read_leaf(parse(der))


def check_certificate(der: bytes, authorities: Sequence[bytes], mesh: str) -> Certified:
    """What the certificate in `der` says, if one of `authorities` (DER) of `mesh` issued it.

    The clock plays no part, and neither do revocations: the caller asks the state about those.
    Raises IdentityRefused for a bad shape, another mesh, or a signature by anyone else.
    """
    certificate = parse(der)
    certified = read_leaf(certificate)
    identity = certified.identity
    if identity.mesh != mesh:
        raise IdentityRefused(
            f"{identity.uri} belongs to the mesh {identity.mesh!r}, not to {mesh!r}: "
            "look at the address that was dialled, or enrol that machine in this mesh"
        )
    if any(_issued_by(certificate, check_authority(one, mesh)) for one in authorities):
        return certified
    raise UnknownIssuer(
        f"the certificate of {identity.uri} was issued by no authority of this mesh: forged, or "
        "of another mesh with the same name, or of an authority that was replaced; "
        "if the machine is yours, enrol it again"
    )


def check_authority(der: bytes, mesh: str) -> x509.Certificate:
    """The authority's certificate in `der`, if it may issue identities of `mesh`.

    Raises IdentityRefused if it is none, of another mesh, or not on P-256.
    """
    return read_authority(parse(der), mesh)


def is_issued_by(der: bytes, authority: bytes) -> bool:
    """Whether the authority whose certificate (DER) is given issued the one in `der`. Raises
    IdentityRefused if one of them is no certificate."""
    return _issued_by(parse(der), parse(authority))


def pem(der: bytes) -> bytes:
    """The PEM form of a certificate in DER. Raises IdentityRefused if `der` is none."""
    return parse(der).public_bytes(Encoding.PEM)


def der_from_pem(pem: bytes) -> bytes:
    """The DER form of the first certificate in `pem`. Raises IdentityRefused if there is none."""
    if len(pem) > PEM_MAX_BYTES:
        raise misshapen(f"its PEM has {len(pem)} bytes; {PEM_MAX_BYTES} are allowed")
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion):
        raise misshapen("it is no PEM of a certificate") from None


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
        return isinstance(certificate.signature_hash_algorithm, SHA256)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _subject(mesh: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, mesh),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    serial: int,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    certificate = builder.sign(key, SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(Encoding.DER)
