"""The trust head: only the root key changes who is trusted, and only forwards."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.heads.certificates import make_authority
from mesh.heads.outcome import Accepted, Equivocation, HeadRefused, Known, Older, Refused
from mesh.heads.trust import Trust, open_trust, pin
from mesh.signed import Signer
from protos.documents_pb2 import TrustBody, TrustedKey
from protos.signed_pb2 import Envelope

Acme = Any
MakeSigner = Callable[[int], Signer]


def test_the_pin_is_the_digest_of_the_root_keys_public_key_info(acme: Acme) -> None:
    key = Ed25519PublicKey.from_public_bytes(acme.root.public_key)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert pin(acme.root.public_key) == sha256(spki).hexdigest()


def test_what_the_root_signed_is_in_force(acme: Acme) -> None:
    trust = acme.trust()
    assert (trust.mesh, trust.generation) == ("acme", 1)
    assert trust.authorities == [acme.certificate]
    assert trust.masters == ["master-1"]
    assert trust.keys("state") == trust.keys("acknowledge") == [acme.master.public_key]
    assert trust.keys("release") == [acme.release.public_key]
    assert trust.keys("operator") == trust.keys("anything") == []
    assert trust.root_key == acme.root.public_key
    assert trust.digest == sha256(Envelope.FromString(trust.envelope).payload).digest()


def test_before_the_first_head_nobody_is_trusted(acme: Acme) -> None:
    trust = Trust(acme.root.public_key)
    assert (trust.mesh, trust.generation, trust.envelope, trust.digest) == ("", 0, b"", b"")
    assert trust.authorities == trust.keys("state") == []
    envelope = acme.sign_trust(acme.trust_body())
    assert trust.accept(envelope) == Accepted(envelope)
    assert trust.mesh == "acme"


def test_a_higher_generation_replaces_the_whole(acme: Acme, make_signer: MakeSigner) -> None:
    trust = acme.trust()
    body = acme.trust_body(5)
    del body.keys[:]
    body.keys.add(public_key=make_signer(7).public_key, role="state", name="master-2")
    envelope = acme.sign_trust(body)
    assert trust.accept(envelope) == Accepted(envelope)
    assert trust.keys("state") == [make_signer(7).public_key]
    assert trust.keys("release") == []
    assert trust.envelope == envelope


def test_the_same_and_older_heads_change_nothing(acme: Acme) -> None:
    trust = acme.trust(3)
    assert trust.accept(acme.sign_trust(acme.trust_body(3))) == Known()
    assert trust.accept(acme.sign_trust(acme.trust_body(2))) == Older()
    assert trust.generation == 3


def test_the_same_head_in_another_wrapping_is_known(acme: Acme) -> None:
    trust = acme.trust()
    wrapped = Envelope.FromString(trust.envelope)
    wrapped.signatures.insert(0, wrapped.signatures[0])
    assert trust.accept(wrapped.SerializeToString()) == Known()


def test_two_contents_under_one_generation_are_evidence_and_change_nothing(acme: Acme) -> None:
    trust = acme.trust()
    kept = trust.envelope
    body = acme.trust_body()
    body.masters.append("master-2")
    other = acme.sign_trust(body)
    assert trust.accept(other) == Equivocation(kept, other)
    assert (trust.envelope, trust.masters) == (kept, ["master-1"])


def test_a_restart_keeps_the_floor(acme: Acme) -> None:
    trust = acme.trust(3)
    again = Trust(acme.root.public_key, trust.envelope)
    assert again.accept(acme.sign_trust(acme.trust_body(2))) == Older()
    assert again.digest == trust.digest


def test_another_mesh_of_the_same_root_is_refused(acme: Acme) -> None:
    trust = acme.trust()
    body = acme.trust_body(2)
    body.mesh = "other"
    body.authorities[0] = make_authority_of("other")
    refused = trust.accept(acme.sign_trust(body))
    assert isinstance(refused, Refused)
    assert refused.reason == "other mesh"


def make_authority_of(mesh: str) -> bytes:
    return make_authority(ec.derive_private_key(9, ec.SECP256R1()), mesh, 1)


def stripped(acme: Acme) -> bytes:
    envelope = Envelope.FromString(acme.sign_trust(acme.trust_body(2)))
    del envelope.signatures[:]
    return envelope.SerializeToString()


def retyped(acme: Acme) -> bytes:
    body = acme.trust_body(2).SerializeToString()
    envelope = Envelope.FromString(acme.root.sign("state", body))
    envelope.payload_type = "application/vnd.mesh.trust"
    return envelope.SerializeToString()


def altered(acme: Acme) -> bytes:
    envelope = Envelope.FromString(acme.sign_trust(acme.trust_body(2)))
    envelope.payload = acme.trust_body(9).SerializeToString()
    return envelope.SerializeToString()


FORGERIES = [
    pytest.param(stripped, "unknown key", id="its signature stripped"),
    pytest.param(retyped, "bad signature", id="signed as another type"),
    pytest.param(altered, "bad signature", id="altered after signing"),
    pytest.param(
        lambda a: a.master.sign("trust", a.trust_body(2).SerializeToString()),
        "unknown key",
        id="signed by a master",
    ),
    pytest.param(lambda a: a.state(1), "wrong type", id="a state head"),
    pytest.param(lambda a: b"\xff" * 100, "malformed", id="noise"),
    pytest.param(lambda a: a.root.sign("trust", b"\xff\xff"), "malformed", id="a noisy payload"),
    pytest.param(lambda a: bytes(65 * 1024), "too large", id="too large"),
]


@pytest.mark.parametrize(("forge", "reason"), FORGERIES)
def test_a_forged_head_is_refused_and_counted_by_kind(
    acme: Acme, forge: Callable[[Acme], bytes], reason: str
) -> None:
    trust = acme.trust()
    refused = trust.accept(forge(acme))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.needs_trust) == (reason, 0)
    assert trust.generation == 1
    with pytest.raises(HeadRefused, match=reason):
        open_trust(acme.root.public_key, forge(acme))


def add_key(body: TrustBody, acme: Acme, **fields: Any) -> None:
    good = {"public_key": bytes(32), "role": "operator", "name": "ann"}
    body.keys.append(TrustedKey(**{**good, **fields}))


BAD_CONTENT = [
    pytest.param(lambda b, a: setattr(b, "mesh", "ACME"), "mesh 'ACME'", id="a bad mesh"),
    pytest.param(lambda b, a: setattr(b, "generation", 0), "generation", id="no generation"),
    pytest.param(
        lambda b, a: setattr(b, "generation", 2**63), "generation", id="a generation too high"
    ),
    pytest.param(lambda b, a: setattr(b, "signed_unix_ms", 2**64 - 1), "time", id="a bad time"),
    pytest.param(lambda b, a: b.authorities.pop(), "authorities", id="no authority"),
    pytest.param(
        lambda b, a: b.authorities.extend([a.certificate] * 8), "authorities", id="9 authorities"
    ),
    pytest.param(lambda b, a: b.authorities.append(b"x"), "certificate", id="a bad authority"),
    pytest.param(
        lambda b, a: b.authorities.append(make_authority_of("rival")),
        "not of the mesh",
        id="a rival's authority",
    ),
    pytest.param(lambda b, a: b.masters.append("M"), "master 'M'", id="a bad master"),
    pytest.param(lambda b, a: b.masters.append("master-1"), "twice", id="a master twice"),
    pytest.param(lambda b, a: b.masters.extend("abcdefghijklmnop"), "masters", id="17 masters"),
    pytest.param(lambda b, a: add_key(b, a, role="root"), "no role", id="an unknown role"),
    pytest.param(lambda b, a: add_key(b, a, name=""), "key of ''", id="a key of nobody"),
    pytest.param(lambda b, a: add_key(b, a, public_key=bytes(31)), "length", id="a short key"),
    pytest.param(
        lambda b, a: add_key(b, a, public_key=a.master.public_key, role="state", name="master-2"),
        "a key twice",
        id="a key under two names",
    ),
    pytest.param(
        lambda b, a: add_key(b, a, public_key=a.release.public_key, role="state"),
        "signs releases",
        id="a release key that signs states",
    ),
    pytest.param(
        lambda b, a: add_key(b, a, public_key=a.root.public_key), "root key", id="the root itself"
    ),
    pytest.param(
        lambda b, a: [add_key(b, a, public_key=bytes([i]) * 32) for i in range(254)],
        "number of keys",
        id="257 keys",
    ),
    pytest.param(lambda b, a: setattr(b, "min_reader", 2), "too new", id="for newer readers"),
]


@pytest.mark.parametrize(("spoil", "says"), BAD_CONTENT)
def test_content_that_makes_no_sense_is_refused_though_signed(
    acme: Acme, spoil: Callable[[TrustBody, Acme], object], says: str
) -> None:
    body = acme.trust_body(2)
    spoil(body, acme)
    envelope = acme.sign_trust(body)
    with pytest.raises(HeadRefused, match=says):
        open_trust(acme.root.public_key, envelope)
    trust = acme.trust()
    assert isinstance(trust.accept(envelope), Refused)
    assert trust.generation == 1
    with pytest.raises(HeadRefused):
        Trust(acme.root.public_key, envelope)


def test_enrolment_reads_what_the_pinned_root_signed(acme: Acme) -> None:
    assert open_trust(acme.root.public_key, acme.trust().envelope) == acme.trust_body()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_head_is_taken(acme: Acme, data: st.DataObject) -> None:
    good = acme.sign_trust(acme.trust_body(2))
    position = data.draw(st.integers(0, len(good) - 1))
    replacement = data.draw(st.binary(max_size=4))
    mutated = good[:position] + replacement + good[position + len(replacement) :]
    trust = acme.trust()
    outcome = trust.accept(mutated)
    if isinstance(outcome, Accepted):
        # Only what is not signed can differ: bytes outside payload and signature.
        assert Envelope.FromString(mutated).payload == Envelope.FromString(good).payload
    else:
        assert isinstance(outcome, Refused)
