"""The members of a site: own registers, suspicions within their limit, probes for others."""

from mesh.events import Notice, Send
from mesh.exchange.membership import SUSPICIONS_MAX, Membership, Self
from mesh.exchange.relayed_probes import ANSWER_WITHIN_MS, PENDING_MAX
from mesh.registers.liveness import GRACE_MS
from mesh.registers.store import Registers
from protos.documents_pb2 import Boot, StableRegister
from protos.peer_pb2 import Frame, Probe, ProbeAnswer
from tests.sim import identities
from tests.sim.nodes import keys_in

BOOT = Boot(counter=1, nonce=b"12345678")


def me(registers: Registers) -> Membership:
    uri = identities.node_identity("south", "me").uri
    own = Self(identities.node_keys("south", "me"), BOOT, identities.signer(uri))
    return Membership(own, registers, 0)


def known(count: int) -> Registers:
    registers = Registers("south", keys_in)
    for number in range(count):
        identity = identities.node_identity("south", f"n{number}")
        certificate = identities.certificate(identity).der
        body = StableRegister(
            node=identity.name, site="south", boot=BOOT, version=1, certificate=certificate
        )
        data = body.SerializeToString()
        registers.accept(identities.signer(identity.uri).sign("register", data))
    return registers


def answers(instructions: list) -> list[ProbeAnswer]:
    frames = [Frame.FromString(i.data) for i in instructions if isinstance(i, Send)]
    return [frame.probe_answer for frame in frames if frame.WhichOneof("kind") == "probe_answer"]


def test_nothing_new_is_not_said_again_unless_asked() -> None:
    membership = me(known(0))
    first = membership.publish(StableRegister(wan=True))
    assert first is not None
    assert membership.publish() is None
    again = membership.publish(again=True)
    assert again is not None
    assert (first.body.version, again.body.version) == (1, 2)


def test_who_has_said_nothing_yet_says_no_suspicions_either() -> None:
    membership = me(known(1))
    membership.unreachable("n0", GRACE_MS)
    assert membership.publish() is None
    assert membership.publish(again=True) is None
    assert membership.registers.get("me") is None


def test_suspicions_are_bounded_and_the_undecided_come_first() -> None:
    membership = me(known(SUSPICIONS_MAX + 3))
    for number in range(SUSPICIONS_MAX + 3):
        membership.unreachable(f"n{number}", GRACE_MS)
    for now_ms in range(GRACE_MS, GRACE_MS + 900, 100):
        membership.tick(now_ms)
    record = membership.publish(StableRegister())
    assert record is not None
    assert len(record.body.suspicions) == SUSPICIONS_MAX


def test_a_suspect_that_is_forgotten_is_suspected_no_more() -> None:
    membership = me(known(1))
    membership.unreachable("n0", GRACE_MS)
    membership.registers.forget(["n0"])
    record = membership.publish(StableRegister())
    assert record is not None
    assert list(record.body.suspicions) == []
    membership.forget(["n0"], GRACE_MS)
    assert membership.liveness.suspected() == []


def test_a_probe_is_answered_and_one_for_another_passed_on() -> None:
    membership = me(known(2))
    assert answers(membership.probe("n0", Probe(number=7), 0))[0].alive
    (no,) = answers(membership.probe("n0", Probe(number=8, target="n1"), 0))
    assert (no.number, no.target, no.alive) == (8, "n1", False)
    membership.link("n1", True, 0)
    (asked,) = membership.probe("n0", Probe(number=9, target="n1"), 0)
    assert isinstance(asked, Send)
    number = Frame.FromString(asked.data).probe.number
    lie = ProbeAnswer(number=number, alive=True)
    assert answers(membership.probe_answer("n0", lie, 5)) == []  # it is not the target
    (yes,) = answers(membership.probe_answer("n1", ProbeAnswer(number=number, alive=True), 10))
    assert (yes.number, yes.alive) == (9, True)


def test_a_target_that_does_not_answer_is_told_in_time() -> None:
    membership = me(known(2))
    membership.link("n1", True, 0)
    membership.probe("n0", Probe(number=9, target="n1"), 0)
    (no,) = answers(membership.tick(ANSWER_WITHIN_MS))
    assert (no.number, no.alive) == (9, False)


def test_no_peer_can_make_a_node_remember_probes_without_end() -> None:
    membership = me(known(2))
    membership.link("n1", True, 0)
    for number in range(PENDING_MAX):
        membership.probe("n0", Probe(number=number + 1, target="n1"), 0)
    (no,) = answers(membership.probe("n0", Probe(number=999, target="n1"), 0))
    assert not no.alive


def test_verdicts_are_notices() -> None:
    membership = me(known(1))
    (notice,) = membership.unreachable("n0", GRACE_MS)
    assert isinstance(notice, Notice)
    assert (notice.what, notice.subject, notice.data) == ("verdict", "n0", "suspect")
