"""An authority, a certificate of its making, and certificates as forgers would make them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh.heads.certificate_shape import SIGNING_KEY_EXTENSION
from mesh.heads.certificates import (
    issue,
    make_authority,
)
from mesh.heads.identity import Identity

NODE = Identity("acme", "node", "a1", "north")
MASTER = Identity("acme", "master", "master-1")
SIGNING_KEY = bytes(range(32))
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
UNKNOWN = x509.ObjectIdentifier("1.2.3.4.5")
Part = tuple[x509.ExtensionType, bool]


def key(number: int, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, curve or ec.SECP256R1())


AUTHORITY_KEY = key(1)
AUTHORITY = make_authority(AUTHORITY_KEY, "acme", 1)
CERTIFICATE = issue(AUTHORITY_KEY, AUTHORITY, NODE, key(5).public_key(), SIGNING_KEY, 7)


def usage(**set_to: bool) -> x509.KeyUsage:
    words = [
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    ]  # fmt: skip
    return x509.KeyUsage(**{word: set_to.get(word, False) for word in words})


def names(*entries: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier(entry) if "/" in entry else x509.DNSName(entry)
            for entry in entries
        ]
    )


def signing(value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(SIGNING_KEY_EXTENSION, value)


@dataclass
class Craft:
    """A certificate as a forger with the authority's key, or a careless one, would make it."""

    constraints: Part | None = (x509.BasicConstraints(ca=False, path_length=None), True)
    usage: Part | None = (usage(digital_signature=True), True)
    uses: Part | None = (x509.ExtendedKeyUsage(BOTH), False)
    names: Part | None = (names(NODE.uri, NODE.dns_name), False)
    signing: Part | None = (signing(b"\x04\x20" + SIGNING_KEY), False)
    more: list[Part] = field(default_factory=list)
    tls_key: object = field(default_factory=lambda: key(5).public_key())

    def der(self) -> bytes:
        issuer = x509.load_der_x509_certificate(AUTHORITY).subject
        builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=issuer)
        builder = builder.public_key(self.tls_key).serial_number(7)  # type: ignore[arg-type]
        builder = builder.not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(9999, 12, 31, tzinfo=UTC))
        parts = [self.constraints, self.usage, self.uses, self.names, self.signing, *self.more]
        for part in parts:
            if part is not None:
                builder = builder.add_extension(part[0], critical=part[1])
        return builder.sign(AUTHORITY_KEY, SHA256()).public_bytes(Encoding.DER)
