"""The members of a site: own registers, suspicions within their limit, probes for others."""

from mesh.events import Notice, Send
from mesh.exchange.membership import (
    ACCUSE_EVERY_MS,
    ANSWER_EVERY_MS,
    SUSPICIONS_MAX,
    Membership,
    Self,
)
from mesh.exchange.relayed_probes import ANSWER_WITHIN_MS, PENDING_MAX
from mesh.registers.liveness import GRACE_MS
from mesh.registers.store import Record, Registers
from protos.documents_pb2 import Boot, StableRegister, Suspicion
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
        said_by(f"n{number}", registers)
    return registers


def said_by(node: str, registers: Registers, version: int = 1, suspects: str = "") -> Record:
    """A register of another node, which suspects `me`, or whom it says, in its present version."""
    identity = identities.node_identity("south", node)
    body = StableRegister(
        node=node,
        site="south",
        boot=BOOT,
        version=version,
        certificate=identities.certificate(identity).der,
    )
    suspect = registers.get(suspects)
    if suspect is not None:
        said = Suspicion(node=suspects, boot=suspect.body.boot, version=suspect.body.version)
        body.suspicions.append(said)
    data = body.SerializeToString()
    _, record = registers.accept(identities.signer(identity.uri).sign("register", data))
    return record


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


def test_whoever_is_suspected_by_many_answers_at_once_and_then_now_and_then() -> None:
    membership = me(known(5))
    membership.publish(StableRegister())
    said_ms = []
    for now_ms in range(0, 2 * ANSWER_EVERY_MS, 10):
        accuser = f"n{now_ms // 10 % 5}"
        record = said_by(accuser, membership.registers, 2 + now_ms, "me")
        membership.accepted(record, now_ms)
        if membership.is_to_answer(now_ms):
            said_ms.append(now_ms)
            membership.publish(again=True)
    assert said_ms == [0, ANSWER_EVERY_MS]
    late_ms = 3 * ANSWER_EVERY_MS
    assert membership.is_to_answer(late_ms), "to the last of them"
    membership.publish(again=True)
    assert not membership.is_to_answer(late_ms + ANSWER_EVERY_MS), "nobody suspects it as it is"


def test_whoever_answers_again_and_again_and_is_not_reached_is_suspected_now_and_then() -> None:
    membership = me(known(1))
    membership.publish(StableRegister())
    for version in (2, 3):
        membership.tick(GRACE_MS)
        membership.unreachable("n0", GRACE_MS)
        membership.publish()
        membership.accepted(said_by("n0", membership.registers, version), GRACE_MS)
    said = []
    for now_ms in range(GRACE_MS, GRACE_MS + ACCUSE_EVERY_MS + 200, 200):
        membership.tick(now_ms)
        record = membership.publish()
        said += [(now_ms, one.version) for one in record.body.suspicions] if record else []
    assert said == [(GRACE_MS + ACCUSE_EVERY_MS, 3)], "against what it says by then, with no cause"


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
