"""Who may acknowledge, and what an acknowledgement must say."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.journals import AcknowledgementRefused, LogKey, acknowledge, open_acknowledgement
from mesh.signed import Signer
from protos.documents_pb2 import Acknowledgement, LogName

MASTER = Signer(Ed25519PrivateKey.from_private_bytes(b"m" * 32))
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(b"o" * 32))
KEY = LogKey("north-1", 3, b"boot-one", "record")
KEYS = [MASTER.public_key]


def sealed(message: Acknowledgement) -> bytes:
    return MASTER.sign("acknowledgement", message.SerializeToString(deterministic=True))


def test_it_says_who_keeps_what() -> None:
    envelope = acknowledge(KEY, 41, "master-1", MASTER)
    opened = open_acknowledgement(envelope, KEYS)
    assert (opened.key, opened.sequence, opened.master) == (KEY, 41, "master-1")
    assert opened.envelope == envelope


def test_its_digest_is_of_what_it_says_not_of_who_says_it() -> None:
    one = open_acknowledgement(acknowledge(KEY, 41, "master-1", MASTER), KEYS)
    two = open_acknowledgement(acknowledge(KEY, 41, "master-2", OTHER), [OTHER.public_key])
    more = open_acknowledgement(acknowledge(KEY, 42, "master-1", MASTER), KEYS)
    assert one.digest() == two.digest() != more.digest()


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        pytest.param(b"x" * 1025, "too large", id="too large"),
        pytest.param(b"\xff", "malformed", id="no envelope"),
        pytest.param(MASTER.sign("journal", b""), "wrong type", id="another document"),
        pytest.param(acknowledge(KEY, 1, "m", OTHER), "unknown key", id="not by a master"),
        pytest.param(MASTER.sign("acknowledgement", b"\xff"), "malformed", id="garbage inside"),
        pytest.param(sealed(Acknowledgement(log=LogName(), sequence=1)), "bad log", id="no log"),
        pytest.param(
            sealed(Acknowledgement(log=KEY.name(), sequence=0)), "bad sequence", id="nothing kept"
        ),
        pytest.param(
            sealed(Acknowledgement(log=KEY.name(), sequence=2**63)), "bad sequence",
            id="a sequence out of range",
        ),
    ],
)  # fmt: skip
def test_bad_ones_are_refused_by_reason(envelope: bytes, reason: str) -> None:
    with pytest.raises(AcknowledgementRefused) as caught:
        open_acknowledgement(envelope, KEYS)
    assert caught.value.reason == reason
