"""The trust head: which keys may say what. Signed by the offline root key, and by nothing else.

The root key is the one thing that a node is given out of band (as a pin in its join token). From
then on the trust head says whose certificates and signatures count. The rules: a higher generation
replaces a lower one whole; the same generation with other content is an equivocation and changes
nothing; a key that signs releases never has a master's role, so that no one key can both say what
is good and who runs it. Each role asks for one signature, so no count can be cheated; a key is
listed once a role all the same. A name may have several keys in a role, so that one can be replaced
while what the other signed still counts.
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from mesh.hashing import sha256
from mesh.heads.certificates import check_authority, tls_key_digest
from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.limits import (
    AUTHORITIES_MAX,
    KEY_BYTES,
    KEYS_MAX,
    MASTERS_MAX,
    NUMBER_MAX,
    TRUST_MAX_BYTES,
)
from mesh.heads.outcome import (
    READER_VERSION,
    Accepted,
    Equivocation,
    HeadRefused,
    Known,
    Older,
    Outcome,
    Refused,
    open_head,
)
from protos.documents_pb2 import TrustBody, TrustedKey

KIND = "trust"
"""The payload type of the envelope."""

MASTER_ROLES = frozenset({"state", "acknowledge"})
ROLES = MASTER_ROLES | {"release", "operator"}


def pin(root_key: bytes) -> str:
    """The SHA-256 of the root key's SubjectPublicKeyInfo: 64 hex digits, as in join tokens.

    `root_key` is a raw Ed25519 public key; ValueError if it has not 32 bytes.
    """
    return tls_key_digest(Ed25519PublicKey.from_public_bytes(root_key)).hex()


def open_trust(root_key: bytes, envelope: bytes) -> TrustBody:
    """What the trust head in `envelope` says, if the root key signed it and it makes sense.

    Raises HeadRefused.
    """
    return _read(open_head(envelope, KIND, [root_key], TRUST_MAX_BYTES).payload, root_key)


class Trust:
    """The root key (raw Ed25519) and the highest trust head that was accepted under it.

    `envelope` is the head that was persisted, or None where none is known yet: then nobody is
    trusted. Raises HeadRefused if it is not a good head of this root.
    """

    def __init__(self, root_key: bytes, envelope: bytes | None = None) -> None:
        self._root_key = root_key
        self._envelope = b""
        self._body = TrustBody()
        self._digest = b""
        if envelope is not None:
            self._take(envelope)

    @property
    def root_key(self) -> bytes:
        """The root's raw Ed25519 public key."""
        return self._root_key

    @property
    def envelope(self) -> bytes:
        """The head, to persist and to relay. Empty where none is known yet."""
        return self._envelope

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the head's payload. Empty where none is known yet."""
        return self._digest

    @property
    def mesh(self) -> str:
        """The mesh's name. Empty where no head is known yet."""
        return self._body.mesh

    @property
    def generation(self) -> int:
        """The head's generation. 0 where none is known yet."""
        return self._body.generation

    @property
    def authorities(self) -> list[bytes]:
        """The certificates (DER) that the mesh's certificates chain to."""
        return list(self._body.authorities)

    @property
    def masters(self) -> list[str]:
        """The IDs of the masters."""
        return list(self._body.masters)

    def keys(self, role: str) -> list[bytes]:
        """The raw Ed25519 keys with that role: state, release, operator, acknowledge."""
        return [key.public_key for key in self._body.keys if key.role == role]

    def accept(self, envelope: bytes) -> Outcome:
        """Takes the trust head in `envelope` if it is the highest so far.

        On Accepted the caller persists the envelope before it acts on it.
        """
        try:
            payload = open_head(envelope, KIND, [self._root_key], TRUST_MAX_BYTES).payload
            body = _read(payload, self._root_key)
        except HeadRefused as error:
            return Refused(error.reason, error.detail)
        if self._envelope and body.mesh != self.mesh:
            return Refused("other mesh", f"it is of {body.mesh!r}, this is {self.mesh!r}")
        if body.generation < self.generation:
            return Older()
        if body.generation == self.generation:
            same = sha256(payload) == self._digest
            return Known() if same else Equivocation(self._envelope, envelope)
        self._take(envelope)
        return Accepted(envelope)

    def _take(self, envelope: bytes) -> None:
        payload = open_head(envelope, KIND, [self._root_key], TRUST_MAX_BYTES).payload
        self._body = _read(payload, self._root_key)
        self._envelope, self._digest = envelope, sha256(payload)


def _read(payload: bytes, root_key: bytes) -> TrustBody:
    try:
        body = TrustBody.FromString(payload)
    except DecodeError:
        raise HeadRefused("malformed", "the payload is no trust head") from None
    if body.min_reader > READER_VERSION:
        raise HeadRefused(
            "too new",
            f"it is for readers of version {body.min_reader}, this is {READER_VERSION}: "
            "the last trust head stays in force; upgrade meshd on this machine",
        )
    try:
        _check_body(body)
        _check_keys(body.keys, root_key)
    except IdentityRefused as error:
        raise HeadRefused("bad content", str(error)) from None
    return body


def _check_body(body: TrustBody) -> None:
    check_name("mesh", body.mesh)
    _bounded("generation", body.generation, 1, NUMBER_MAX)
    _bounded("time of signing", body.signed_unix_ms, 0, NUMBER_MAX)
    _bounded("number of authorities", len(body.authorities), 1, AUTHORITIES_MAX)
    _bounded("number of masters", len(body.masters), 0, MASTERS_MAX)
    for authority in body.authorities:
        check_authority(authority, body.mesh)
    for master in body.masters:
        check_name("master", master)
    _once("master", list(body.masters))


def _check_keys(keys: Sequence[TrustedKey], root_key: bytes) -> None:
    _bounded("number of keys", len(keys), 0, KEYS_MAX)
    for key in keys:
        check_name("key of", key.name)
        if key.role not in ROLES:
            raise HeadRefused("bad content", f"{key.role[:32]!r} is no role of a key")
        _bounded(f"length of the key of {key.name}", len(key.public_key), KEY_BYTES, KEY_BYTES)
    _once("key", [(key.role, key.public_key) for key in keys])
    releasing = {key.public_key for key in keys if key.role == "release"}
    if any(key.role in MASTER_ROLES and key.public_key in releasing for key in keys):
        raise HeadRefused("bad content", "a key that signs releases has a master's role as well")
    if any(key.public_key == root_key for key in keys):
        raise HeadRefused("bad content", "the root key, which stays offline, has a role")


def _bounded(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise HeadRefused("bad content", f"its {what} is {value}, not from {least} to {most}")


def _once(what: str, items: Sequence[object]) -> None:
    if len(set(items)) != len(items):
        raise HeadRefused("bad content", f"it lists a {what} twice")
