"""The shape of a certificate: what its bytes say, before anybody asks who signed them.

The rules on reading: one URI, one DNS name that is spelled from it, no authority posing as a leaf,
no extension that we do not know and must not ignore; and the clock is never looked at. After
SPIFFE's rules for X.509 identities, stricter where they leave room.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.limits import CERTIFICATE_MAX_BYTES, KEY_BYTES

SIGNING_KEY_EXTENSION = ObjectIdentifier("2.25.152466317085842637906911271384106927713")
"""Names the extension with the signing key. Under 2.25 any UUID is an identifier (ITU-T X.667)."""

REPLACES_EXTENSION = ObjectIdentifier("2.25.188940325176034467128420935115370162853")
"""Names the extension with the TLS key of the node whose place a node takes."""

SIGNING_KEY_HEADER = b"\x04\x20"
"""What stands before a key in its extension: DER for "a string of 32 octets"."""

USES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
"""A peer both dials and is dialled."""

_EXTENSIONS_KNOWN = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
        SIGNING_KEY_EXTENSION,
        REPLACES_EXTENSION,
    }
)

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for a part of a certificate that is broken."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Certified:
    """What a certificate says.

    `tls_key` is the SHA-256 of the TLS key's SubjectPublicKeyInfo (32 bytes; the form in which
    rosters and revocations name it), `signing_key` a raw Ed25519 public key (32 bytes), `der` the
    certificate itself, `serial` its number, `replaces` the TLS key of the node whose place this one
    takes, or empty.
    """

    identity: Identity
    tls_key: bytes
    signing_key: bytes
    der: bytes
    serial: int
    replaces: bytes


def parse(der: bytes) -> x509.Certificate:
    """The certificate in `der`, nothing in it checked. Raises IdentityRefused if it is none."""
    if len(der) > CERTIFICATE_MAX_BYTES:
        raise misshapen(f"it has {len(der)} bytes; {CERTIFICATE_MAX_BYTES} are allowed")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        raise misshapen("these bytes are no certificate") from None


def read_leaf(certificate: x509.Certificate) -> Certified:
    """What a peer's certificate says, its signature NOT checked. Raises IdentityRefused."""
    return _read(certificate, _leaf)


def read_authority(certificate: x509.Certificate, mesh: str) -> x509.Certificate:
    """`certificate`, if it is an authority's of `mesh`. Raises IdentityRefused if not."""
    constraints = _read(certificate, _constraints)
    if not constraints.ca:
        raise misshapen("it is no authority's, but stands where an authority's should be")
    _read(certificate, _p256)
    if _read(certificate, _organizations) != [mesh]:
        raise misshapen(f"it is an authority's, but not of the mesh {mesh!r}")
    return certificate


def tls_key_digest(public_key: PublicKeyTypes) -> bytes:
    """The SHA-256 of the key's SubjectPublicKeyInfo (DER): 32 bytes."""
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def misshapen(detail: str) -> IdentityRefused:
    """The error for a certificate that is wrong by its bytes, whoever signed it."""
    return IdentityRefused(
        f"a certificate was refused: {detail}. Whoever sent it is at fault; "
        "if the machine is yours, enrol it again"
    )


def _read(certificate: x509.Certificate, part: Callable[[x509.Certificate], T]) -> T:
    try:
        return part(certificate)
    except IdentityRefused:
        raise
    except x509.ExtensionNotFound as error:
        raise misshapen(f"it lacks the extension {error.oid.dotted_string}") from None
    except _UNREADABLE as error:
        raise misshapen(f"a part of it cannot be read ({error})") from None


def _leaf(certificate: x509.Certificate) -> Certified:
    extensions = certificate.extensions
    for extension in extensions:
        if extension.critical and extension.oid not in _EXTENSIONS_KNOWN:
            raise misshapen(f"it has the unknown critical extension {extension.oid.dotted_string}")
    if _constraints(certificate).ca:
        raise misshapen("it is an authority's, which never speaks for itself")
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    if usage.key_cert_sign or usage.crl_sign or not usage.digital_signature:
        raise misshapen("its key usage is not that of a peer")
    if not USES.issubset(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value):
        raise misshapen("it is not for servers and clients alike")
    identity = _identity(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    signing_key = _key(extensions.get_extension_for_oid(SIGNING_KEY_EXTENSION).value, "signing key")
    replaces = b"".join(
        _key(one.value, "replaced key") for one in extensions if one.oid == REPLACES_EXTENSION
    )
    der = certificate.public_bytes(Encoding.DER)
    tls_key = tls_key_digest(_p256(certificate))
    return Certified(identity, tls_key, signing_key, der, certificate.serial_number, replaces)


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value


def _organizations(certificate: x509.Certificate) -> list[str | bytes]:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return [attribute.value for attribute in attributes]


def _identity(names: x509.SubjectAlternativeName) -> Identity:
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    dns_names = names.get_values_for_type(x509.DNSName)
    if len(uris) != 1 or len(dns_names) != 1 or len(list(names)) != 2:
        raise misshapen(
            f"it has {len(uris)} URIs and {len(dns_names)} DNS names among {len(list(names))} "
            "alternative names, instead of one of each"
        )
    identity = Identity.from_uri(uris[0])
    if dns_names[0] != identity.dns_name:
        raise misshapen(f"it says {identity.uri}, but its DNS name is {dns_names[0]!r}")
    return identity


def _key(extension: x509.ExtensionType, what: str) -> bytes:
    value = extension.public_bytes()
    if len(value) != len(SIGNING_KEY_HEADER) + KEY_BYTES:
        raise misshapen(f"its {what} has {len(value)} bytes instead of 2 + 32")
    if not value.startswith(SIGNING_KEY_HEADER):
        raise misshapen(f"its {what} is not 32 octets in DER")
    return value.removeprefix(SIGNING_KEY_HEADER)


def _p256(certificate: x509.Certificate) -> PublicKeyTypes:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise misshapen("its TLS key is not on the curve P-256")
