"""Signed documents: what verifies, and each way in which it does not."""

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mesh.signed import (
    CHECKED_BYTES_MAX,
    CHECKS_KEPT,
    SIGNATURES_LOOKED_AT_MAX,
    SignatureRefused,
    Signer,
    _holds,
    key_id,
    pre_authentication_encoding,
    verify,
)
from protos.signed_pb2 import Envelope, Signature

ALICE = Signer(Ed25519PrivateKey.from_private_bytes(b"a" * 32))
BOB = Signer(Ed25519PrivateKey.from_private_bytes(b"b" * 32))


def altered(**changes: object) -> bytes:
    envelope = Envelope.FromString(ALICE.sign("thing", b"payload"))
    for name, value in changes.items():
        setattr(envelope, name, value)
    return envelope.SerializeToString()


def with_signatures(*signatures: Signature) -> bytes:
    envelope = Envelope(payload_type="application/vnd.mesh.thing", payload=b"payload")
    envelope.signatures.extend(signatures)
    return envelope.SerializeToString()


def good(payload_type: str = "application/vnd.mesh.thing") -> Signature:
    return Envelope.FromString(ALICE.sign("thing", b"payload")).signatures[0]


def test_what_was_signed_is_what_comes_back() -> None:
    verified = verify(ALICE.sign("thing", b"payload"), "thing", [BOB.public_key, ALICE.public_key])
    assert (verified.payload, verified.public_key) == (b"payload", ALICE.public_key)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\xff\xff", "malformed", id="no envelope"),
        pytest.param(ALICE.sign("other", b"payload"), "wrong type", id="of another type"),
        pytest.param(BOB.sign("thing", b"payload"), "unknown key", id="by somebody else"),
        pytest.param(altered(payload=b"payloaD"), "bad signature", id="one byte of the payload"),
        pytest.param(
            with_signatures(Signature(key_id=key_id(ALICE.public_key), signature=b"short")),
            "bad signature",
            id="a short signature",
        ),
        pytest.param(with_signatures(), "unknown key", id="no signature"),
        pytest.param(
            with_signatures(*[Signature(key_id=b"x")] * SIGNATURES_LOOKED_AT_MAX, good()),
            "unknown key",
            id="a good one behind more than are looked at",
        ),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(data, "thing", [ALICE.public_key])
    assert refused.value.reason == reason


def test_unknown_and_bad_signatures_beside_a_good_one_do_no_harm() -> None:
    bad = Signature(key_id=key_id(ALICE.public_key), signature=b"s" * 64)
    data = with_signatures(Signature(key_id=b"x"), bad, good())
    assert verify(data, "thing", [ALICE.public_key]).payload == b"payload"


def test_outcomes_are_kept_of_small_documents_alone() -> None:
    _holds.cache_clear()
    keys = [ALICE.public_key]
    large = ALICE.sign("thing", b"x" * CHECKED_BYTES_MAX)
    forged = Envelope.FromString(large)
    forged.payload = b"y" + forged.payload[1:]
    for _ in range(2):
        assert verify(large, "thing", keys).public_key == ALICE.public_key
        with pytest.raises(SignatureRefused, match="bad signature"):
            verify(forged.SerializeToString(), "thing", keys)
    assert _holds.cache_info().currsize == 0
    for number in range(CHECKS_KEPT + 3):
        verify(ALICE.sign("thing", b"%d" % number), "thing", keys)
    assert _holds.cache_info().currsize == CHECKS_KEPT
    verify(ALICE.sign("thing", b"%d" % number), "thing", keys)
    assert _holds.cache_info().hits == 1


def test_a_key_that_is_no_key_verifies_nothing() -> None:
    broken = b"k" * 31
    data = with_signatures(Signature(key_id=key_id(broken), signature=b"s" * 64))
    with pytest.raises(SignatureRefused, match="bad signature"):
        verify(data, "thing", [broken])


@given(st.text(), st.binary(), st.text(), st.binary())
def test_no_two_pairs_are_encoded_alike(kind: str, payload: bytes, other: str, data: bytes) -> None:
    same = pre_authentication_encoding(kind, payload) == pre_authentication_encoding(other, data)
    assert same == ((kind, payload) == (other, data))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(SignatureRefused):
        verify(data, "thing", [ALICE.public_key])


@given(st.integers(0, 2000), st.integers(1, 255))
def test_no_flipped_byte_changes_what_is_read(place: int, flip: int) -> None:
    data = bytearray(ALICE.sign("thing", b"payload"))
    data[place % len(data)] ^= flip
    with contextlib.suppress(SignatureRefused):
        assert verify(bytes(data), "thing", [ALICE.public_key]).payload == b"payload"
