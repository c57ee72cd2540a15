"""Certificates: what a good one says, and each way in which a bad one is refused."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh.hashing import sha256
from mesh.heads.certificate_shape import SIGNING_KEY_EXTENSION
from mesh.heads.certificates import (
    check_authority,
    check_certificate,
    der_from_pem,
    issue,
    make_authority,
    pem,
    read_certificate,
    tls_key_digest,
)
from mesh.heads.identity import Identity, IdentityRefused

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


def test_a_certificate_binds_the_identity_to_both_keys() -> None:
    certified = check_certificate(CERTIFICATE, [AUTHORITY], "acme")
    spki = key(5).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certified.identity == NODE
    assert certified.tls_key == sha256(spki) == tls_key_digest(key(5).public_key())
    assert certified.signing_key == SIGNING_KEY
    assert certified.der == CERTIFICATE


def test_a_crafted_certificate_without_a_fault_is_good() -> None:
    assert check_certificate(Craft().der(), [AUTHORITY], "acme").identity == NODE


def test_the_same_input_makes_the_same_bytes() -> None:
    assert make_authority(AUTHORITY_KEY, "acme", 1) == AUTHORITY
    again = issue(AUTHORITY_KEY, AUTHORITY, NODE, key(5).public_key(), SIGNING_KEY, 7)
    assert again == CERTIFICATE


def test_the_longest_names_are_issued_and_read() -> None:
    mesh = "m" * 63
    authority = make_authority(AUTHORITY_KEY, mesh, 2**63)
    longest = Identity(mesh, "operator", "o" * 63)
    der = issue(AUTHORITY_KEY, authority, longest, key(5).public_key(), SIGNING_KEY, 2**100)
    assert check_certificate(der, [authority], mesh).identity == longest
    assert len(der) < 1200


def test_a_certificate_is_good_in_1970_and_in_9999() -> None:
    certificate = x509.load_der_x509_certificate(CERTIFICATE)
    assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc.year == 9999


def test_a_certificate_of_any_of_the_authorities_is_good() -> None:
    other = make_authority(key(2), "acme", 2)
    der = issue(key(2), other, MASTER, key(5).public_key(), SIGNING_KEY, 1)
    assert check_certificate(der, [AUTHORITY, other], "acme").identity == MASTER


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param({"constraints": None}, "lacks the extension", id="no constraints"),
        pytest.param(
            {"constraints": (x509.BasicConstraints(ca=True, path_length=None), True)},
            "an authority's",
            id="an authority posing as a peer",
        ),
        pytest.param({"usage": None}, "lacks the extension", id="no key usage"),
        pytest.param(
            {"usage": (usage(digital_signature=True, key_cert_sign=True), True)},
            "key usage",
            id="a peer that may sign certificates",
        ),
        pytest.param(
            {"usage": (usage(digital_signature=True, crl_sign=True), True)},
            "key usage",
            id="a peer that may sign revocation lists",
        ),
        pytest.param(
            {"usage": (usage(key_encipherment=True), True)}, "key usage", id="a key for no TLS 1.3"
        ),
        pytest.param({"uses": None}, "lacks the extension", id="no uses"),
        pytest.param(
            {"uses": (x509.ExtendedKeyUsage(BOTH[:1]), False)}, "alike", id="for servers only"
        ),
        pytest.param(
            {"uses": (x509.ExtendedKeyUsage(BOTH[1:]), False)}, "alike", id="for clients only"
        ),
        pytest.param({"names": None}, "lacks the extension", id="no names"),
        pytest.param(
            {"names": (names(NODE.uri, MASTER.uri, NODE.dns_name), False)},
            "2 URIs and 1 DNS",
            id="two URIs",
        ),
        pytest.param(
            {"names": (names(NODE.uri, NODE.dns_name, MASTER.dns_name), False)},
            "1 URIs and 2 DNS",
            id="two DNS names",
        ),
        pytest.param({"names": (names(NODE.uri), False)}, "0 DNS", id="no DNS name"),
        pytest.param({"names": (names(NODE.dns_name), False)}, "0 URIs", id="no URI"),
        pytest.param(
            {
                "names": (
                    x509.SubjectAlternativeName(
                        [*names(NODE.uri, NODE.dns_name), x509.RFC822Name("a@b")]
                    ),
                    False,
                )
            },
            "among 3",
            id="a mail address beside",
        ),
        pytest.param(
            {"names": (names(NODE.uri, MASTER.dns_name), False)},
            "but its DNS name",
            id="a node's URI with a master's DNS name",
        ),
        pytest.param(
            {"names": (names("https://acme/x", NODE.dns_name), False)},
            "no identity",
            id="a URI of something else",
        ),
        pytest.param({"signing": None}, "lacks the extension", id="no signing key"),
        pytest.param(
            {"signing": (signing(b"\x04\x1f" + bytes(31)), False)}, "bytes", id="a short key"
        ),
        pytest.param(
            {"signing": (signing(b"\x05\x20" + bytes(32)), False)}, "DER", id="a key in no DER"
        ),
        pytest.param(
            {"more": [(x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True)]},
            "unknown critical",
            id="an unknown critical extension",
        ),
        pytest.param({"tls_key": key(5, ec.SECP384R1()).public_key()}, "P-256", id="another curve"),
        pytest.param(
            {"tls_key": Ed25519PrivateKey.from_private_bytes(SIGNING_KEY).public_key()},
            "P-256",
            id="an Ed25519 key for TLS",
        ),
        pytest.param(
            {"more": [(x509.UnrecognizedExtension(UNKNOWN, bytes(2000)), False)]},
            "are allowed",
            id="too large",
        ),
    ],
)
def test_a_certificate_of_a_wrong_shape_is_refused(fault: dict[str, object], says: str) -> None:
    der = Craft(**fault).der()  # type: ignore[arg-type]
    with pytest.raises(IdentityRefused, match=says):
        check_certificate(der, [AUTHORITY], "acme")


def test_an_unknown_extension_that_is_not_critical_is_ignored() -> None:
    der = Craft(more=[(x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), False)]).der()
    assert read_certificate(der).identity == NODE


def test_an_extension_that_cannot_be_read_is_refused() -> None:
    broken = Craft().der().replace(b"\x30\x00", b"\x30\x01", 1)
    twice = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x05\x00")
    der = Craft(names=(twice, False)).der()
    for bad in (broken, der):
        with pytest.raises(IdentityRefused, match="at fault"):
            read_certificate(bad)


def issued_by(number: int, mesh: str) -> bytes:
    authority = make_authority(key(number), mesh, 1)
    identity = Identity(mesh, "node", "a1", "north")
    return issue(key(number), authority, identity, key(5).public_key(), SIGNING_KEY, 7)


@pytest.mark.parametrize(
    ("der", "says"),
    [
        pytest.param(issued_by(3, "rival"), "belongs to the mesh 'rival'", id="another mesh"),
        pytest.param(
            issued_by(3, "acme"), "no authority of this mesh", id="another mesh of the same name"
        ),
        pytest.param(
            CERTIFICATE[:-4] + bytes(4), "no authority of this mesh", id="an altered signature"
        ),
        pytest.param(
            CERTIFICATE.replace(b"/node/a1", b"/node/a2").replace(b"a1.node", b"a2.node"),
            "no authority of this mesh",
            id="an altered name",
        ),
        pytest.param(AUTHORITY, "an authority's", id="the authority itself"),
        pytest.param(b"", "no certificate", id="nothing"),
        pytest.param(CERTIFICATE[:-1], "no certificate", id="cut short"),
        pytest.param(CERTIFICATE + b"\x00", "no certificate", id="something behind"),
    ],
)
def test_what_no_authority_of_this_mesh_issued_is_refused(der: bytes, says: str) -> None:
    with pytest.raises(IdentityRefused, match=says):
        check_certificate(der, [AUTHORITY], "acme")


def test_a_stolen_node_cannot_issue_certificates() -> None:
    thief = key(5)
    issuer = x509.load_der_x509_certificate(CERTIFICATE).subject
    certificate = x509.load_der_x509_certificate(Craft().der())
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=issuer,
        public_key=thief.public_key(),
        serial_number=8,
        not_valid_before=certificate.not_valid_before_utc,
        not_valid_after=certificate.not_valid_after_utc,
        extensions=list(certificate.extensions),
    )
    forged = builder.sign(thief, SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(IdentityRefused, match="no authority of this mesh"):
        check_certificate(forged, [AUTHORITY], "acme")
    with pytest.raises(IdentityRefused, match="no authority's"):
        check_certificate(forged, [CERTIFICATE], "acme")


def test_an_authority_that_signs_with_another_hash_is_not_followed() -> None:
    certificate = x509.load_der_x509_certificate(CERTIFICATE)
    builder = x509.CertificateBuilder(
        issuer_name=certificate.issuer,
        subject_name=certificate.subject,
        public_key=key(5).public_key(),
        serial_number=8,
        not_valid_before=certificate.not_valid_before_utc,
        not_valid_after=certificate.not_valid_after_utc,
        extensions=list(certificate.extensions),
    )
    der = builder.sign(AUTHORITY_KEY, SHA384()).public_bytes(Encoding.DER)
    with pytest.raises(IdentityRefused, match="no authority of this mesh"):
        check_certificate(der, [AUTHORITY], "acme")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(
            lambda: issue(key(2), AUTHORITY, NODE, key(5).public_key(), SIGNING_KEY, 7),
            "not of the key",
            id="with a key that is not the authority's",
        ),
        pytest.param(
            lambda: issue(
                AUTHORITY_KEY,
                AUTHORITY,
                Identity("rival", "master", "m"),
                key(5).public_key(),
                SIGNING_KEY,
                7,
            ),
            "not of the mesh 'rival'",
            id="for another mesh",
        ),
        pytest.param(
            lambda: issue(AUTHORITY_KEY, AUTHORITY, NODE, key(5).public_key(), b"short", 7),
            "signing key",
            id="with a short signing key",
        ),
        pytest.param(
            lambda: issue(
                AUTHORITY_KEY, AUTHORITY, NODE, key(5, ec.SECP384R1()).public_key(), SIGNING_KEY, 7
            ),
            "P-256",
            id="with a TLS key on another curve",
        ),
        pytest.param(lambda: make_authority(AUTHORITY_KEY, "Acme", 1), "mesh", id="a bad mesh"),
        pytest.param(
            lambda: make_authority(key(1, ec.SECP384R1()), "acme", 1),
            "P-256",
            id="an authority on another curve",
        ),
    ],
)
def test_nothing_is_issued_that_would_be_refused(make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(IdentityRefused, match=says):
        make()


def test_an_authority_without_constraints_or_of_two_meshes_is_refused() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "acme")] * 2)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=AUTHORITY_KEY.public_key(),
        serial_number=1,
        not_valid_before=datetime(1970, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(9999, 12, 31, tzinfo=UTC),
    )
    bare = builder.sign(AUTHORITY_KEY, SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(IdentityRefused, match="lacks the extension"):
        check_authority(bare, "acme")
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    double = builder.add_extension(constraints, critical=True).sign(AUTHORITY_KEY, SHA256())
    with pytest.raises(IdentityRefused, match="not of the mesh"):
        check_authority(double.public_bytes(Encoding.DER), "acme")


def test_pem_and_der_hold_the_same() -> None:
    assert der_from_pem(pem(CERTIFICATE)) == CERTIFICATE
    assert der_from_pem(pem(CERTIFICATE) + pem(AUTHORITY)) == CERTIFICATE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(CERTIFICATE, id="DER instead"),
        pytest.param(pem(CERTIFICATE)[:-40], id="cut short"),
        pytest.param(b"-" * 5000, id="too large"),
    ],
)
def test_what_is_no_pem_is_refused(text: bytes) -> None:
    with pytest.raises(IdentityRefused):
        der_from_pem(text)


def test_what_is_no_der_has_no_pem() -> None:
    with pytest.raises(IdentityRefused):
        pem(b"no certificate")


@pytest.mark.filterwarnings("ignore:Parsed a:cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(CERTIFICATE) - 1), value=st.integers(0, 255))
def test_one_altered_byte_never_makes_a_good_certificate(position: int, value: int) -> None:
    altered = CERTIFICATE[:position] + bytes([value]) + CERTIFICATE[position + 1 :]
    if altered == CERTIFICATE:
        return
    with pytest.raises(IdentityRefused):
        check_certificate(altered, [AUTHORITY], "acme")


@pytest.mark.filterwarnings("ignore:Parsed a:cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(AUTHORITY) - 1), value=st.integers(0, 255))
@example(position=AUTHORITY.index(b"\x0c\x04acme"), value=0xFF)
def test_an_altered_authority_is_refused_or_named_alike(position: int, value: int) -> None:
    altered = AUTHORITY[:position] + bytes([value]) + AUTHORITY[position + 1 :]
    with contextlib.suppress(IdentityRefused):
        check_authority(altered, "acme")
