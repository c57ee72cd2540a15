"""Certificates: what a good one says, and what is never issued."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh.hashing import sha256
from mesh.heads.certificates import (
    check_authority,
    check_certificate,
    der_from_pem,
    issue,
    make_authority,
    pem,
    tls_key_digest,
)
from mesh.heads.identity import Identity, IdentityRefused
from tests.mesh.heads.forging import (
    AUTHORITY,
    AUTHORITY_KEY,
    CERTIFICATE,
    MASTER,
    NODE,
    SIGNING_KEY,
    Craft,
    key,
)


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
