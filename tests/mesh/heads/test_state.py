"""The state head: the floor never falls, whoever sends what; attacks as stories."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.heads.outcome import Accepted, Equivocation, HeadRefused, Known, Older, Outcome, Refused
from mesh.heads.state import State
from mesh.heads.tree import BranchRefused, Tree, check_branch
from mesh.heads.trust import Trust
from mesh.signed import Signer
from protos.documents_pb2 import StateBody
from protos.signed_pb2 import Envelope

Acme = Any
MakeSigner = Callable[[int], Signer]


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused)
    return outcome.reason


def seen_counter(state: State) -> int:
    return 0 if state.seen is None else state.seen.counter


def test_a_head_is_seen_first_and_applied_when_its_branch_is_whole(acme: Acme) -> None:
    state = State()
    assert (state.seen, state.applied, state.floor) == (None, None, (0, 0))
    envelope = acme.state(5, root=7)
    assert state.accept(envelope, acme.trust()) == Accepted(envelope)
    head = state.seen
    assert head is not None
    assert (head.mesh, head.order, head.root, head.leaves) == ("acme", (1, 5), b"\x07" * 32, 3)
    assert head.signed_unix_ms == 1_700_000_000_000
    assert head.digest == sha256(Envelope.FromString(envelope).payload).digest()
    assert (state.applied, state.floor) == (None, (1, 5))
    state.mark_applied(5)
    assert state.applied == head


def test_heads_known_and_older_change_nothing(acme: Acme) -> None:
    state, trust = State(), acme.trust()
    state.accept(acme.state(5), trust)
    assert state.accept(acme.state(5), trust) == Known()
    assert state.accept(acme.state(4), trust) == Older()
    assert seen_counter(state) == 5


def test_the_floor_stands_across_restarts(acme: Acme) -> None:
    """A stolen box replays an old state to a node that just booted from its disk."""
    trust, disk = acme.trust(), {}
    first = State()
    for counter in (3, 8):
        outcome = first.accept(acme.state(counter), trust)
        assert isinstance(outcome, Accepted)
        disk["seen"] = outcome.envelope  # before anything is applied
        if counter == 3:
            first.mark_applied(3)
            disk["applied"] = outcome.envelope
    # Power fails between seen and applied. The plan of 3 is in force; the floor is 8.
    second = State(disk["seen"], disk["applied"])
    assert second.applied is not None
    assert (second.floor, second.applied.counter) == ((1, 8), 3)
    assert second.accept(acme.state(7), trust) == Older()
    assert second.accept(acme.state(3), trust) == Known()
    assert second.accept(acme.state(8), trust) == Known()
    second.mark_applied(8)
    assert second.applied == second.seen


def test_a_lost_seen_file_leaves_the_applied_head_as_the_floor(acme: Acme) -> None:
    state = State(applied_envelope=acme.state(6))
    assert state.floor == (1, 6)
    assert state.accept(acme.state(5), acme.trust()) == Older()
    assert State(acme.state(4), acme.state(6)).floor == (1, 6)


def test_two_contents_under_one_counter_are_evidence_and_change_nothing(acme: Acme) -> None:
    state, trust = State(), acme.trust()
    kept, other = acme.state(5, root=1), acme.state(5, root=2)
    state.accept(kept, trust)
    assert state.accept(other, trust) == Equivocation(kept, other)
    assert state.seen is not None
    assert state.seen.root == b"\x01" * 32
    assert isinstance(state.accept(acme.state(6, root=2), trust), Accepted)


def test_an_equivocation_with_the_state_in_force_is_evidence_too(acme: Acme) -> None:
    state = State(acme.state(9), acme.state(5, root=1))
    other = acme.state(5, root=2)
    assert state.accept(other, acme.trust()) == Equivocation(acme.state(5, root=1), other)


def test_the_same_head_in_another_wrapping_is_known(acme: Acme) -> None:
    state, trust = State(), acme.trust()
    state.accept(acme.state(5), trust)
    wrapped = Envelope.FromString(acme.state(5))
    wrapped.signatures.add(key_id=b"someone!", signature=bytes(64))
    assert state.accept(wrapped.SerializeToString(), trust) == Known()


def test_a_stolen_masters_counter_far_ahead_is_undone_by_the_root(
    acme: Acme, make_signer: MakeSigner
) -> None:
    trust, state, thief = acme.trust(), State(), acme.master
    far = acme.sign_state(acme.state_body(2**63 - 1), by=thief)
    assert isinstance(state.accept(far, trust), Accepted)
    body = acme.trust_body(2)
    new_master = make_signer(20)
    for key in body.keys[:2]:
        key.public_key = new_master.public_key
    assert isinstance(trust.accept(acme.sign_trust(body)), Accepted)
    good = acme.sign_state(acme.state_body(1, trust=2), by=new_master)
    assert isinstance(state.accept(good, trust), Accepted)
    assert state.floor == (2, 1)
    assert reason(state.accept(far, trust)) == "unknown key"
    thiefs = acme.sign_state(acme.state_body(2, trust=2), by=thief)
    assert reason(state.accept(thiefs, trust)) == "unknown key"


def test_a_counter_beyond_every_database_is_refused(acme: Acme) -> None:
    assert reason(State().accept(acme.state(2**63), acme.trust())) == "bad content"


def test_a_head_under_an_older_trust_counts_while_its_key_does(acme: Acme) -> None:
    state = State()
    assert isinstance(state.accept(acme.state(5, trust=1), acme.trust(2)), Accepted)
    assert isinstance(state.accept(acme.state(1, trust=2), acme.trust(2)), Accepted)
    assert state.accept(acme.state(6, trust=1), acme.trust(2)) == Older()


@pytest.mark.parametrize("known_key", [True, False], ids=["a known key", "a new key"])
def test_a_head_under_a_newer_trust_waits_for_it(
    acme: Acme, make_signer: MakeSigner, known_key: bool
) -> None:
    signer = acme.master if known_key else make_signer(20)
    envelope = acme.sign_state(acme.state_body(1, trust=4), by=signer)
    state, trust = State(), acme.trust()
    outcome = state.accept(envelope, trust)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.needs_trust) == ("needs trust 4", 4)
    assert state.seen is None
    body = acme.trust_body(4)
    for key in body.keys[:2]:
        key.public_key = signer.public_key
    trust.accept(acme.sign_trust(body))
    assert isinstance(state.accept(envelope, trust), Accepted)


def test_a_head_for_newer_readers_is_kept_and_never_applied(acme: Acme) -> None:
    """The bytes go on to neighbours that can read them; here the last good state stays."""
    state, trust = State(), acme.trust()
    state.accept(acme.state(1), trust)
    state.mark_applied(1)
    body = acme.state_body(2)
    body.min_reader, body.root = 2, b"another kind of root"
    assert isinstance(state.accept(acme.sign_state(body), trust), Accepted)
    assert state.seen is not None
    assert not state.seen.readable
    with pytest.raises(ValueError, match="newer readers"):
        state.mark_applied(2)
    assert state.applied is not None
    assert state.applied.counter == 1
    assert State(state.seen.envelope).floor == (1, 2)


def test_only_the_head_seen_last_can_be_applied(acme: Acme) -> None:
    state, trust = State(), acme.trust()
    with pytest.raises(ValueError, match="not the one seen last"):
        state.mark_applied(1)
    state.accept(acme.state(1), trust)
    state.accept(acme.state(2), trust)
    with pytest.raises(ValueError, match="not the one seen last"):
        state.mark_applied(1)
    assert state.applied is None


def stripped(acme: Acme) -> bytes:
    envelope = Envelope.FromString(acme.state(5))
    del envelope.signatures[:]
    return envelope.SerializeToString()


def retyped(acme: Acme) -> bytes:
    signed = acme.master.sign("acknowledgement", acme.state_body(5).SerializeToString())
    envelope = Envelope.FromString(signed)
    envelope.payload_type = "application/vnd.mesh.state"
    return envelope.SerializeToString()


def altered(acme: Acme) -> bytes:
    envelope = Envelope.FromString(acme.state(5))
    envelope.payload = acme.state_body(6).SerializeToString()
    return envelope.SerializeToString()


def crowded_out(acme: Acme) -> bytes:
    """The good signature stands behind four that cost a check each."""
    envelope = Envelope.FromString(acme.state(5))
    good = envelope.signatures.pop()
    for _ in range(4):
        envelope.signatures.add(key_id=good.key_id, signature=bytes(64))
    envelope.signatures.append(good)
    return envelope.SerializeToString()


def spoilt(field: str, value: object) -> Callable[[Acme], bytes]:
    def make(acme: Acme) -> bytes:
        body: StateBody = acme.state_body(5)
        setattr(body, field, value)
        return bytes(acme.sign_state(body))

    return make


FORGERIES = [
    pytest.param(stripped, "unknown key", id="its signature stripped"),
    pytest.param(retyped, "bad signature", id="signed as another type"),
    pytest.param(altered, "bad signature", id="altered after signing"),
    pytest.param(crowded_out, "bad signature", id="its signature behind four bad ones"),
    pytest.param(
        lambda a: a.sign_state(a.state_body(5), by=a.release), "unknown key", id="by a release key"
    ),
    pytest.param(
        lambda a: a.sign_state(a.state_body(5), by=a.root), "unknown key", id="by the root"
    ),
    pytest.param(lambda a: a.trust().envelope, "wrong type", id="a trust head"),
    pytest.param(lambda a: b"\xff" * 100, "malformed", id="noise"),
    pytest.param(lambda a: a.master.sign("state", b"\xff\xff"), "malformed", id="noise, signed"),
    pytest.param(
        lambda a: a.release.sign("state", b"\xff"), "unknown key", id="a stranger's noise"
    ),
    pytest.param(lambda a: a.master.sign("state", bytes(5000)), "too large", id="too large"),
    pytest.param(spoilt("mesh", "rival"), "other mesh", id="another mesh"),
    pytest.param(spoilt("mesh", ""), "other mesh", id="no mesh"),
    pytest.param(spoilt("counter", 0), "bad content", id="no counter"),
    pytest.param(spoilt("trust_generation", 0), "bad content", id="no trust generation"),
    pytest.param(spoilt("root", bytes(31)), "bad content", id="a short root"),
    pytest.param(spoilt("leaves", 2**21), "bad content", id="two million branches"),
    pytest.param(spoilt("signed_unix_ms", 2**64 - 1), "bad content", id="a time beyond all time"),
]


@pytest.mark.parametrize(("forge", "expected"), FORGERIES)
def test_a_forged_head_is_refused_and_counted_by_kind(
    acme: Acme, forge: Callable[[Acme], bytes], expected: str
) -> None:
    state = State(acme.state(1))
    outcome = state.accept(forge(acme), acme.trust())
    assert reason(outcome) == expected
    assert state.floor == (1, 1)


def test_before_any_trust_no_state_is_taken(acme: Acme) -> None:
    outcome = State().accept(acme.state(1), Trust(acme.root.public_key))
    assert reason(outcome) == "needs trust 1"


@pytest.mark.parametrize("bad", [b"", b"\xff" * 9], ids=["empty", "flipped"])
def test_a_record_flipped_on_disk_is_refused_at_the_start(acme: Acme, bad: bytes) -> None:
    with pytest.raises(HeadRefused):
        State(seen_envelope=bad)
    with pytest.raises(HeadRefused):
        State(acme.state(1), applied_envelope=bad)


def test_the_head_leads_to_its_branches_and_not_to_anothers(acme: Acme) -> None:
    old, new = (Tree({f"site/{s}": bytes([g]) * 32 for s in "abc"}) for g in (1, 2))
    body = acme.state_body(5)
    body.root, body.leaves = new.root, new.count
    state = State()
    state.accept(acme.sign_state(body), acme.trust())
    head = state.seen
    assert head is not None
    assert check_branch(new.branch("site/b"), head.root, head.leaves) == b"\x02" * 32
    with pytest.raises(BranchRefused):
        check_branch(old.branch("site/b"), head.root, head.leaves)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_head_is_taken(acme: Acme, data: st.DataObject) -> None:
    good = acme.state(5)
    position = data.draw(st.integers(0, len(good) - 1))
    replacement = data.draw(st.binary(max_size=4))
    mutated = good[:position] + replacement + good[position + len(replacement) :]
    outcome = State().accept(mutated, acme.trust())
    if isinstance(outcome, Accepted):
        assert Envelope.FromString(mutated).payload == Envelope.FromString(good).payload
    else:
        assert isinstance(outcome, Refused)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 1)), max_size=12))
def test_the_floor_never_falls_and_one_order_has_one_content(
    acme: Acme, offers: list[tuple[int, int, int]]
) -> None:
    state, trust = State(), acme.trust(3)
    contents: dict[tuple[int, int], int] = {}
    for generation, counter, root in offers:
        before = state.floor
        outcome = state.accept(acme.state(counter, generation, root), trust)
        assert state.floor >= before
        assert isinstance(outcome, Accepted) == (state.floor > before)
        if isinstance(outcome, Accepted):
            assert contents.setdefault((generation, counter), root) == root
        if isinstance(outcome, Equivocation):
            assert contents[generation, counter] != root
