"""What a box asks: both keys vouch for all of it, and nothing else is taken."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mesh.heads.admission_request import KIND, RequestRefused, make_request, open_request
from mesh.heads.certificates import tls_key_digest
from mesh.heads.identity import IdentityRefused
from mesh.heads.tls_requests import TLS_REQUEST_BYTES_MAX, make_tls_request
from protos.documents_pb2 import AdmissionRequest
from tests.mesh.heads.conftest import signer, tls_key

SIGNER, OTHER = signer(5), signer(6)
TEXT = make_request("north", "c", tls_key(50), SIGNER)


def signed(tls_request: bytes, by: Any = SIGNER) -> str:
    body = AdmissionRequest(tls_request=tls_request).SerializeToString()
    return "R1." + base64.urlsafe_b64encode(by.sign(KIND, body)).decode()


def subject(*names: tuple[Any, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names])


def named(site: str = "north", node: str = "c", key: str = "") -> x509.Name:
    return subject(
        (NameOID.ORGANIZATION_NAME, site),
        (NameOID.COMMON_NAME, node),
        (NameOID.SERIAL_NUMBER, key or SIGNER.public_key.hex()),
    )


def broken_signature() -> bytes:
    good = bytearray(make_tls_request(tls_key(50), named()))
    good[-1] ^= 1
    return bytes(good)


def on_another_curve() -> bytes:
    builder = x509.CertificateSigningRequestBuilder(subject_name=named())
    request = builder.sign(ec.derive_private_key(50, ec.SECP384R1()), SHA256())
    return request.public_bytes(Encoding.DER)


def test_a_request_says_who_asks_with_which_keys() -> None:
    asked = open_request(f"  {TEXT}\n")
    assert (asked.site, asked.node, asked.signing_key) == ("north", "c", SIGNER.public_key)
    assert asked.tls_key == tls_key_digest(tls_key(50).public_key())
    assert asked.tls_public_key == tls_key(50).public_key()


def test_a_box_asks_only_under_good_names() -> None:
    for site, node in (("North", "c"), ("north", "-")):
        with pytest.raises(IdentityRefused):
            make_request(site, node, tls_key(50), SIGNER)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "begins with R1.", id="nothing"),
        pytest.param("R2." + TEXT[3:], "begins with R1.", id="of a newer release"),
        pytest.param("R1." + "A" * 5000, "begins with R1.", id="too long"),
        pytest.param(TEXT[:-3], "truncated", id="truncated"),
        pytest.param("R1.????", "truncated", id="no base64"),
        pytest.param("R1.AA\ufffd=", "truncated", id="not ASCII"),
        pytest.param("R1.AAAA", "altered", id="no envelope"),
        pytest.param(signed(b"rubbish"), "PKCS #10", id="no TLS request"),
        pytest.param(signed(b"x" * (TLS_REQUEST_BYTES_MAX + 1)), "more than", id="too large"),
        pytest.param(signed(broken_signature()), "own key", id="another TLS key's signature"),
        pytest.param(signed(on_another_curve()), "P-256", id="another curve"),
        pytest.param(
            signed(make_tls_request(tls_key(50), named()), OTHER), "unknown key", id="by another"
        ),
        pytest.param(
            signed(make_tls_request(tls_key(50), named(key="ab"))), "32 bytes", id="a short key"
        ),
        pytest.param(
            signed(make_tls_request(tls_key(50), named(site="North"))), "no valid name", id="site"
        ),
        pytest.param(
            signed(make_tls_request(tls_key(50), subject((NameOID.COMMON_NAME, "c")))),
            "each once",
            id="no site",
        ),
    ],
)
def test_what_is_not_as_its_box_made_it_is_refused(text: str, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        open_request(text)
