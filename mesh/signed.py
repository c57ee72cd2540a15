"""Signed documents: DSSE envelopes with Ed25519 over the exact bytes.

The rule: what was verified is what is used. `verify` returns the payload bytes that the signature
covers, and nobody parses anything else. The payload's type is part of what is signed, so that no
document can pose as one of another type (https://github.com/secure-systems-lab/dsse, protocol.md).
"""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError

from protos.signed_pb2 import Envelope, Signature

PAYLOAD_TYPE_PREFIX = "application/vnd.mesh."
SIGNATURES_LOOKED_AT_MAX = 4
"""Worst case for a flood of forged signatures: four checks, 0.4 ms, an envelope."""

KEYS_KEPT = 1024
"""Public keys kept as the library has them, 0.3 KB each; the largest site has 256 nodes."""

CHECKS_KEPT = 256
"""Outcomes kept of the last signatures that were checked: 4 MiB at worst, see CHECKED_BYTES_MAX.
What one peer says comes through several others, and to every node of a simulated site."""

CHECKED_BYTES_MAX = 16 * 1024
"""Of what was signed, for its outcome to be kept: the largest register. Batches of journals and
manifests are larger, and come once."""


class SignatureRefused(ValueError):
    """The envelope is not what it should be, by the fault of whoever made or altered it.

    Nothing was changed. `reason` is one of: malformed, wrong type, unknown key, bad signature.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verified:
    """The payload of an envelope whose signature holds, and the raw public key that made it."""

    payload: bytes
    public_key: bytes


@functools.lru_cache(maxsize=KEYS_KEPT)
def key_id(public_key: bytes) -> bytes:
    """The hint by which a signature names its key: 8 bytes of the raw public key's SHA-256."""
    return hashlib.sha256(public_key).digest()[:8]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """DSSE's PAE: lengths in ASCII decimals, so that no two pairs encode alike."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class Signer:
    """Signs documents with one Ed25519 key."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key: bytes = private_key.public_key().public_bytes_raw()

    def sign(self, kind: str, payload: bytes) -> bytes:
        """The bytes of an envelope around `payload`, of type `application/vnd.mesh.<kind>`."""
        payload_type = PAYLOAD_TYPE_PREFIX + kind
        signature = self._private_key.sign(pre_authentication_encoding(payload_type, payload))
        envelope = Envelope(payload_type=payload_type, payload=payload)
        envelope.signatures.append(Signature(key_id=key_id(self.public_key), signature=signature))
        return envelope.SerializeToString(deterministic=True)


def open_envelope(data: bytes, kind: str) -> Envelope:
    """The envelope in `data`, of the type asked for, its signature NOT yet checked.

    Raises SignatureRefused if the bytes are no envelope or one of another type.
    """
    try:
        envelope = Envelope.FromString(data)
    except DecodeError:
        raise SignatureRefused("malformed", "these bytes are no envelope") from None
    expected = PAYLOAD_TYPE_PREFIX + kind
    if envelope.payload_type != expected:
        raise SignatureRefused("wrong type", f"{envelope.payload_type!r} instead of {expected!r}")
    return envelope


def verify(data: bytes, kind: str, keys: Iterable[bytes]) -> Verified:
    """Checks that one of `keys` (raw Ed25519) signed the envelope in `data`.

    Raises SignatureRefused if not. Unknown signatures beside a good one do no harm.
    """
    envelope = open_envelope(data, kind)
    known = {key_id(key): key for key in keys}
    signed = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    seen_known = False
    for signature in envelope.signatures[:SIGNATURES_LOOKED_AT_MAX]:
        key = known.get(signature.key_id)
        if key is None:
            continue
        seen_known = True
        holds = _holds if len(signed) <= CHECKED_BYTES_MAX else _holds.__wrapped__
        if holds(key, signature.signature, signed):
            return Verified(envelope.payload, key)
    if seen_known:
        raise SignatureRefused("bad signature", "the signature does not fit the bytes")
    raise SignatureRefused("unknown key", "signed by no key that may sign this")


@functools.lru_cache(maxsize=KEYS_KEPT)
def _public_key(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


@functools.lru_cache(maxsize=CHECKS_KEPT)
def _holds(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        _public_key(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
