"""Join tokens: `M1.<id>.<secret>.<pin>`.

The id may be logged; it names the token at the master. The secret is shown once and kept only as a
hash. The pin is the SHA-256 of the trust root's public key: a machine that joins compares it with
the root that it was given before it says the secret, so that whoever poses as the master learns
nothing. No error, and no representation of a token, ever repeats a secret.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from mesh.heads.limits import SECRET_MAX, SECRET_MIN_BITS, TOKEN_MAX

VERSION = "M1"

_ID = re.compile(r"[a-z0-9]{1,32}")
_HEX_SECRET = re.compile(rf"[0-9a-f]{{{SECRET_MIN_BITS // 4},{SECRET_MAX}}}")
_BASE32_SECRET = re.compile(rf"[a-z2-7]{{{-(-SECRET_MIN_BITS // 5)},{SECRET_MAX}}}")
_PIN = re.compile(r"[0-9a-f]{64}")
_PIN_BEGUN = re.compile(r"[0-9a-f]{0,63}")
_ANY_VERSION = re.compile(r"M[0-9]{1,3}")
_HASH_PREFIX = b"mesh join token secret\x00"
_ID_BYTES = 5
_SECRET_BYTES = 20
RANDOMNESS_BYTES = _ID_BYTES + _SECRET_BYTES
"""What `make_token` needs. Multiples of five, so that base32 needs no padding."""


class TokenRefused(ValueError):
    """The text is no token that can be used. Nothing was sent and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Token:
    """A join token: what the master calls it, what proves it, and the pin of the trust root (hex).

    Raises TokenRefused when made of parts that no token has.
    """

    id: str
    secret: str = field(repr=False)
    pin: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise TokenRefused("a token's id has 1 to 32 of the characters a-z and 0-9")
        if not _HEX_SECRET.fullmatch(self.secret) and not _BASE32_SECRET.fullmatch(self.secret):
            raise TokenRefused(
                f"a token's secret has at least {SECRET_MIN_BITS} bits, in lower-case hex or base32"
            )
        if not _PIN.fullmatch(self.pin):
            raise TokenRefused("a token's pin has 64 hex digits")

    def format(self) -> str:
        """The text that a person carries to the machine. `parse_token` reads it back."""
        return f"{VERSION}.{self.id}.{self.secret}.{self.pin}"


def make_token(randomness: bytes, pin: str) -> Token:
    """A token from RANDOMNESS_BYTES unguessable bytes, for the trust root with this pin."""
    if len(randomness) != RANDOMNESS_BYTES:
        raise ValueError(f"a token is made of {RANDOMNESS_BYTES} random bytes")
    text = base64.b32encode(randomness).decode().lower()
    characters = _ID_BYTES * 8 // 5
    return Token(text[:characters], text[characters:], pin)


def parse_token(text: str) -> Token:
    """The token in `text`, spaces around it ignored.

    Raises TokenRefused, which tells a token of another version and a truncated one from what is
    no token at all.
    """
    text = text.strip()
    if len(text) > TOKEN_MAX:
        raise TokenRefused(f"no token: it has {len(text)} characters, a token under {TOKEN_MAX}")
    version, *parts = text.split(".")
    if not _ANY_VERSION.fullmatch(version):
        raise TokenRefused(
            f"no token: a token begins with {VERSION}. and is made with "
            "`meshctl token create --site SITE` at the master"
        )
    if version != VERSION:
        raise TokenRefused(
            f"a token of version {version}; this program reads {VERSION}: "
            "use the version of meshd that the master has"
        )
    if len(parts) < 3 or (len(parts) == 3 and _PIN_BEGUN.fullmatch(parts[2])):
        raise TokenRefused("the token is truncated: copy it whole, it ends in 64 hex digits")
    if len(parts) > 3:
        raise TokenRefused(f"no token: it has {len(parts) + 1} parts, a token has 4")
    return Token(*parts)


def hash_secret(secret: str) -> bytes:
    """What the master keeps of a secret: 32 bytes."""
    return hashlib.sha256(_HASH_PREFIX + secret.encode(errors="replace")).digest()


def secret_matches(kept: bytes, secret: str) -> bool:
    """Whether `kept` is the hash of `secret`, in a time that tells nothing about either."""
    return hmac.compare_digest(kept, hash_secret(secret[: SECRET_MAX + 1]))
