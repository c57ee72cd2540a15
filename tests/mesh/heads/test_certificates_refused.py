"""Certificates: each way in which a bad one is refused."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from mesh.heads.certificates import (
    check_certificate,
    issue,
    make_authority,
    read_certificate,
)
from mesh.heads.identity import Identity, IdentityRefused
from tests.mesh.heads.forging import (
    AUTHORITY,
    AUTHORITY_KEY,
    BOTH,
    CERTIFICATE,
    MASTER,
    NODE,
    SIGNING_KEY,
    UNKNOWN,
    Craft,
    key,
    names,
    signing,
    usage,
)


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
