"""Each check can fail: a history that breaks its promise is found, one that keeps it is not."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.core.in_force import IN_FORCE
from mesh.hashing import sha256
from mesh.site.local import ReplicaKey, service_config
from protos.documents_pb2 import KeptInForce, ServicePlan, StateBody
from tests.sim import identities
from tests.sim.checks import CHECKS
from tests.sim.checks.agreement import Agreement, AlarmsCleared, EqualRegisters, ServesInTheEnd
from tests.sim.checks.authority import NeverBack, TwoSignatures
from tests.sim.checks.check import BROKEN_MAX, Check
from tests.sim.checks.exclusive import NeverTwice
from tests.sim.checks.facts import (
    Acknowledged,
    BadStateSigned,
    ChangeEnded,
    ChangeSubmitted,
    Collected,
    CoreStarted,
    Died,
    DocumentSaved,
    Fact,
    FaultBegan,
    FaultEnded,
    NodeSample,
    PipelineStarted,
    PlanSigned,
    Raised,
    RecordsAtEnd,
    ReplicaStopped,
    Revoked,
    Sample,
    Served,
    WorkerStarted,
)
from tests.sim.checks.honesty import BadVersions, Bounded, HonestRegister, NeverRaises
from tests.sim.checks.keeping import TwoHolders
from tests.sim.checks.records import DurableBeforeAcknowledged, RecordsOnceInOrder
from tests.sim.checks.refused import RefusedStates
from tests.sim.checks.serving import (
    Minimum,
    Reconnection,
    RestStaysRest,
    RolloutsTakeNothing,
    UnknownIsNotAbsent,
)
from tests.sim.checks.shut_out import RevokedShutOut
from tests.sim.checks.steering import DrainedIsEmpty, LocalChanges, OneAtATime

ROW = re.compile(r"^\| ([^|]+) \| [\d, ]+ \| `(\w+)` \|$", re.MULTILINE)
MODEL = sha256(b"a model")
FACES = ServicePlan(
    name="faces", model_version="1.0.0", artifact=MODEL, replicas_min=2, replicas_max=2
)
KEY = ReplicaKey("faces", 0, service_config(FACES))
BAD = ServicePlan(name="faces", model_version="2.0.0-golden", artifact=MODEL, replicas_min=2)
BAD_KEY = ReplicaKey("faces", 0, service_config(BAD))
GOOD_NODE = NodeSample(
    up=True,
    awake=True,
    serving={("faces", "1.0.0"): 1},
    pids={KEY: 7},
    applied=(1, 3),
    in_force=(1, 3),
    trust=1,
    live=("a", "b"),
    placement="a and b",
    registers={"a": (1, 5), "b": (1, 6)},
    claims=frozenset({KEY}),
    reported=frozenset({KEY}),
)
BARE = NodeSample(True, True, {}, {})


def sample(at_ms: int, a: NodeSample = GOOD_NODE, quiet_ms: int | None = None) -> Sample:
    """Two nodes, the second of them well."""
    return Sample(at_ms, {"a": a, "b": GOOD_NODE}, (FACES,), 3, quiet_ms)


def heard(at_ms: int, a: NodeSample) -> Sample:
    """Two nodes, the second of which knows of a revocation."""
    return Sample(at_ms, {"a": a, "b": KNOWS}, (FACES,), 3, None)


def state(counter: int) -> bytes:
    body = StateBody(
        mesh=identities.MESH,
        trust_generation=1,
        counter=counter,
        root=bytes(32),
        leaves=1,
        min_reader=1,
    )
    return identities.signer("state").sign("state", body.SerializeToString())


SIGNED = PlanSigned(0, 1, (FACES,), frozenset({MODEL}))
STARTED = WorkerStarted(1, "a", KEY, FACES, whole=True)
OTHER = ServicePlan(
    name="faces", model_version="9.0.0", artifact=MODEL, replicas_min=2, replicas_max=2
)
OTHER_KEY = ReplicaKey("faces", 0, service_config(OTHER))
LARGE = ServicePlan(name="faces", model_version="9.0.0", artifact=MODEL, cores=9)
SEEN = DocumentSaved(1, "a", "state-seen", state(5))
BEHIND = replace(GOOD_NODE, applied=(1, 2), in_force=(1, 2))
OLDER = replace(GOOD_NODE, registers={"a": (1, 5), "b": (1, 4)})
ALARMED = replace(GOOD_NODE, alarms=frozenset({("Offline", "b")}))
LASTING = replace(GOOD_NODE, alarms=frozenset({("Refused", "faces")}))
NEW_PID = replace(GOOD_NODE, pids={KEY: 8})
LIAR = replace(GOOD_NODE, reported=frozenset())
LOUD = replace(GOOD_NODE, sent=100_000)
ONE_IS_ENOUGH = ServicePlan(name="faces", model_version="1.0.0", artifact=MODEL, replicas_min=1)
FEWER = Sample(19_000, {"a": BARE, "b": GOOD_NODE}, (ONE_IS_ENOUGH,), 3, None)
CRASHED = FaultBegan(20_000, "power", "c", alone=True)
CUT = FaultBegan(5_000, "wan", "", alone=True)
MENDED = FaultEnded(9_000, "wan", "", alone=True)
BAD_PLAN = [
    FaultBegan(0, "plan", "faces", alone=True),
    PlanSigned(0, 1, (BAD,), frozenset({MODEL})),
]


def tries(nodes: str) -> list[WorkerStarted]:
    return [WorkerStarted(9, node, BAD_KEY, BAD, whole=True) for node in nodes]


STOPPED = ReplicaStopped(1, "a", "faces", {"faces": 2}, {"faces": 2})
STOPPED_OF_ONE = replace(STOPPED, asked={"faces": 1}, least={"faces": 1})
STOPPED_ABOVE = replace(STOPPED, asked={"faces": 2}, least={"faces": 1})
SMALL = replace(GOOD_NODE, room=1)
NO_ROOM = replace(BARE, room=0)
FULL = replace(GOOD_NODE, room=0)
APART = replace(SMALL, unheard=frozenset("a"))
TO_MASTER = frozenset({identities.MASTER})
ALONE = replace(GOOD_NODE, room=1, unheard=frozenset("b"))
DEAF = replace(BARE, room=4, unheard=frozenset("b"))


def two(at_ms: int, a: NodeSample, b: NodeSample, quiet_ms: int | None = None) -> Sample:
    return Sample(at_ms, {"a": a, "b": b}, (FACES,), 3, quiet_ms)


DOOR = PipelineStarted(9, "a", "door", leased=True, beside=())
REVOKED = Revoked(0, "c", 3)
KNOWS = replace(GOOD_NODE, able=True, shuns=frozenset("c"))
LINKED = replace(KNOWS, links=frozenset("bc"))
SHUNS_NOT = replace(GOOD_NODE, able=True)
COUNTS = replace(KNOWS, counts=frozenset("c"))
KNOWS_NOT = replace(GOOD_NODE, able=True, in_force=(1, 2), hears=frozenset("b"))
DRAIN = FaultBegan(0, "drain", "a", alone=True)
SCALED = [
    FaultBegan(0, "local", "a", alone=True),
    ChangeSubmitted(0, "a", "faces", "scale", "3", until_unix_ms=60_000),
]
SCALES = replace(GOOD_NODE, changes=frozenset({("faces", "scale", "3")}))
ENDED = [*SCALED, ChangeEnded(9_000, "faces", "scale")]
PIN_ENDED = [*SCALED, ChangeEnded(9_000, "faces", "pin")]
PINNED = ChangeSubmitted(0, "a", "faces", "pin", "9.0.0", 60_000, MODEL)
BOTH_SCALE = Sample(7_000, {"a": SCALES, "b": SCALES}, (FACES,), 3, None)
AHEAD = replace(GOOD_NODE, unix_ms=60_000)
LATER = ServicePlan(name="faces", model_version="3.0.0", artifact=MODEL)
LATER_KEY = ReplicaKey("faces", 0, service_config(LATER))
TOGETHER = WorkerStarted(9, "a", LATER_KEY, LATER, whole=True, trying=frozenset("b"))
LATER_PLAN = [
    SIGNED,
    FaultBegan(0, "plan", "faces", alone=True),
    PlanSigned(0, 2, (LATER,), frozenset({MODEL})),
]
BAD_STATE = BadStateSigned(0, 3)
GOES_BY_IT = replace(GOOD_NODE, in_force=(1, 3))
REFUSES = replace(GOOD_NODE, in_force=(1, 2))
IN_FORCE_SAVED = DocumentSaved(1, "a", IN_FORCE, KeptInForce(counter=3).SerializeToString())
REFUSED_ALONE = [sample(0), FaultBegan(20_000, "bad state", "", alone=True)]
SERVES_BAD = replace(GOOD_NODE, serving={("faces", "2.0.0-golden"): 1})
GONE = Collected(9, "c", MODEL, 1, good=frozenset(), holders=frozenset("a"))
BOTH_HOLD = replace(GONE, holders=frozenset("ab"))
LOG = "log"
WRITTEN = ((1, 2, b"x"), (3, 3, b"y"))

BROKEN: list[tuple[type[Check], str, Sequence[Fact]]] = [
    (TwoSignatures, "no plan", [SIGNED, replace(STARTED, plan=OTHER)]),
    (TwoSignatures, "pinned otherwise", [SIGNED, replace(PINNED, artifact=b"other"),
        replace(STARTED, plan=OTHER)]),
    (TwoSignatures, "pinned, and more cores", [SIGNED, PINNED, replace(STARTED, plan=LARGE)]),
    (TwoSignatures, "another name", [SIGNED, replace(STARTED, key=replace(KEY, config="0"))]),
    (TwoSignatures, "no release key", [PlanSigned(0, 1, (FACES,), frozenset()), STARTED]),
    (TwoSignatures, "not whole", [SIGNED, replace(STARTED, whole=False)]),
    (NeverBack, "on disk", [SEEN, replace(SEEN, data=state(4))]),
    (NeverBack, "at a start", [SEEN, CoreStarted(2, "a", (1, 4), 1)]),
    (NeverBack, "in force", [sample(0), sample(1, BEHIND)]),
    (DurableBeforeAcknowledged, "too early", [Acknowledged(0, LOG, 5, durable=4)]),
    (RecordsOnceInOrder, "a gap", [RecordsAtEnd(0, LOG, WRITTEN, ((1, 2, b"x"), (4, 4, b"y")))]),
    (RecordsOnceInOrder, "doubled", [RecordsAtEnd(0, LOG, WRITTEN, (*WRITTEN, (3, 3, b"y")))]),
    (RecordsOnceInOrder, "other", [RecordsAtEnd(0, LOG, WRITTEN, ((1, 2, b"z"), (3, 3, b"y")))]),
    (RecordsOnceInOrder, "lost", [RecordsAtEnd(0, LOG, WRITTEN, WRITTEN[:1])]),
    (Agreement, "state", [sample(0, BEHIND, quiet_ms=11_000)] * 2),
    (Agreement, "refused", [two(0, REFUSES, replace(REFUSES, links=TO_MASTER), 11_000)] * 2),
    (Agreement, "asleep", [sample(0, replace(GOOD_NODE, awake=False), quiet_ms=11_000)] * 2),
    (Agreement, "no more", [sample(0, quiet_ms=0),
        *[sample(0, replace(GOOD_NODE, live=("a",)), 11_000)] * 2]),
    (Agreement, "not the newest", [two(0, BEHIND, replace(BEHIND, links=TO_MASTER), 11_000)] * 2),
    (Agreement, "no dial for long", [two(0, BEHIND, BEHIND, 43_000)] * 2),
    (EqualRegisters, "older", [sample(n * 1_000, OLDER, n * 1_000) for n in range(12)]),
    (AlarmsCleared, "left", [sample(0, ALARMED, 101_000)]),
    (ServesInTheEnd, "one of two", [sample(0, BARE, 101_000)]),
    (Minimum, "after a crash", [CRASHED, sample(26_001, BARE)]),
    (Minimum, "after a death", [FaultBegan(0, "doomed agent", "c", True), Died(20_000, "c"),
        sample(26_001, BARE)]),
    (Minimum, "without who is cut off", [FaultBegan(20_000, "isolate", "a", True), sample(27_000)]),
    (Minimum, "room for one", [CRASHED, two(27_000, NO_ROOM, replace(BARE, room=1))]),
    (Minimum, "room in one part", [CRASHED, two(27_000, DEAF, APART)]),
    (UnknownIsNotAbsent, "nothing served elsewhere", [two(0, GOOD_NODE, BARE),
        Served(1, "b", {"faces": 0}), replace(STOPPED, here=1)]),
    (UnknownIsNotAbsent, "room for all", [two(0, SMALL, SMALL), STOPPED]),
    (UnknownIsNotAbsent, "above the minimum", [two(0, SMALL, SMALL), STOPPED_ABOVE]),
    (UnknownIsNotAbsent, "room long ago", [two(0, SMALL, FULL), sample(9_000),
        replace(STOPPED, at_ms=9_001)]),
    (Reconnection, "restarted", [sample(0), CUT, sample(8_000), MENDED, sample(19_000, NEW_PID)]),
    (Reconnection, "moved", [sample(0), CUT, sample(8_000), MENDED, STARTED, FEWER]),
    (Reconnection, "too few", [sample(0), CUT, sample(8_000), MENDED, sample(19_000, BARE)]),
    (UnknownIsNotAbsent, "the last but one", [sample(0), STOPPED]),
    (RolloutsTakeNothing, "one", [FaultBegan(0, "plan", "", True), SIGNED, sample(1, BARE)]),
    (RestStaysRest, "a start", [sample(0, quiet_ms=61_000), STARTED]),
    (ServesInTheEnd, "a pipeline twice", [sample(0, replace(GOOD_NODE, pipelines=frozenset("p")),
        101_000)]),
    (HonestRegister, "a claim", [sample(n * 1_000, LIAR) for n in range(4)]),
    (Bounded, "messages", [sample(0), sample(10_000, LOUD)]),
    (Bounded, "bytes", [sample(0), sample(10_000, replace(GOOD_NODE, sent_bytes=10**8))]),
    (BadVersions, "three", [*BAD_PLAN, *tries("abc")]),
    (BadVersions, "serves", [sample(0, SERVES_BAD, 101_000)]),
    (TwoHolders, "planned", [SIGNED, GONE]),
    (TwoHolders, "last good", [replace(GONE, good=frozenset("a"))]),
    (TwoHolders, "its own", [replace(BOTH_HOLD, good=frozenset("c"))]),
    (NeverTwice, "beside another", [replace(DOOR, beside=("b",))]),
    (NeverRaises, "raised", [Raised(0, "a", "ValueError")]),
    (RevokedShutOut, "linked", [REVOKED, sample(0, LINKED), sample(6_000, LINKED)]),
    (RevokedShutOut, "counted", [REVOKED, sample(0, COUNTS), sample(6_000, COUNTS)]),
    (RevokedShutOut, "not refused", [REVOKED, sample(0, SHUNS_NOT), sample(6_000, SHUNS_NOT)]),
    (RevokedShutOut, "not told on", [heard(0, KNOWS_NOT), heard(6_000, KNOWS_NOT)]),
    (RevokedShutOut, "a bad state", [BAD_STATE, heard(0, KNOWS_NOT), heard(6_000, KNOWS_NOT)]),
    (DrainedIsEmpty, "serves", [DRAIN, sample(20_000)]),
    (LocalChanges, "forgotten", [*SCALED, sample(7_000, SCALES)]),
    (LocalChanges, "left over", [*ENDED, sample(40_000, SCALES, quiet_ms=30_000)]),
    (LocalChanges, "its time is over", [*SCALED,
        sample(90_000, replace(SCALES, unix_ms=60_000), quiet_ms=30_000)]),
    (LocalChanges, "after a wrong clock", [FaultBegan(0, "clock", "b", alone=True), *SCALED,
        sample(7_000, replace(AHEAD, unix_ms=59_000))]),
    (OneAtATime, "two", [*LATER_PLAN, TOGETHER]),
    (RefusedStates, "in force", [BAD_STATE, sample(1, GOES_BY_IT)]),
    (RefusedStates, "after a start", [IN_FORCE_SAVED, CoreStarted(2, "a", (1, 3), 1, (1, 2))]),
    (RefusedStates, "a start", [*REFUSED_ALONE, STARTED]),
    (RefusedStates, "a stop", [*REFUSED_ALONE, STOPPED_OF_ONE]),
    (RefusedStates, "a pipeline", [*REFUSED_ALONE, DOOR]),
    (RefusedStates, "another worker", [*REFUSED_ALONE, sample(1, NEW_PID)]),
]  # fmt: skip

KEPT: list[tuple[type[Check], str, Sequence[Fact]]] = [
    (TwoSignatures, "as signed", [SIGNED, STARTED]),
    (TwoSignatures, "as pinned", [SIGNED, PINNED, replace(STARTED, plan=OTHER, key=OTHER_KEY)]),
    (NeverBack, "newer", [SEEN, replace(SEEN, data=state(6)), CoreStarted(2, "a", (1, 6), 1)]),
    (NeverBack, "a new start", [sample(0), CoreStarted(1, "a", (1, 3), 1), sample(2, BEHIND)]),
    (DurableBeforeAcknowledged, "durable", [Acknowledged(0, LOG, 5, durable=5)]),
    (RecordsOnceInOrder, "all", [RecordsAtEnd(0, LOG, WRITTEN, WRITTEN)]),
    (Agreement, "in time", [sample(0, BEHIND, 9_000), sample(1_000, quiet_ms=11_000)]),
    (Agreement, "nobody has dialled yet", [two(0, BEHIND, BEHIND, 41_000)] * 2),
    (Agreement, "not quiet", [sample(0, BEHIND)]),
    (Agreement, "for a moment", [sample(0, quiet_ms=9_000), sample(0, BEHIND, 10_001),
        sample(0, quiet_ms=11_001), sample(0, BEHIND, 20_001)]),
    (EqualRegisters, "now and then", [sample(n, OLDER if n % 5 else GOOD_NODE, n) for n in
        range(0, 40_000, 999)]),
    (AlarmsCleared, "in the plan", [sample(0, LASTING, 101_000)]),
    (ServesInTheEnd, "all", [sample(0, quiet_ms=101_000)]),
    (ServesInTheEnd, "no room", [two(0, NO_ROOM, SMALL, 101_000)]),
    (Minimum, "no room", [CRASHED, two(27_000, NO_ROOM, SMALL)]),
    (Minimum, "no room in either part", [CRASHED, two(27_000, replace(DEAF, room=1), APART)]),
    (UnknownIsNotAbsent, "it served between two samples", [two(0, GOOD_NODE, BARE),
        Served(1, "b", {"faces": 1}), replace(STOPPED, here=1)]),
    (UnknownIsNotAbsent, "another here", [sample(0), replace(STOPPED, here=1)]),
    (UnknownIsNotAbsent, "no room", [two(0, SMALL, FULL), STOPPED]),
    (UnknownIsNotAbsent, "no room a moment ago", [two(0, SMALL, FULL), sample(1), STOPPED]),
    (UnknownIsNotAbsent, "no room in its part", [sample(0, ALONE), STOPPED]),
    (RolloutsTakeNothing, "no room", [FaultBegan(0, "plan", "", True), SIGNED,
        two(1, NO_ROOM, SMALL)]),
    (Minimum, "in time", [CRASHED, sample(21_000, BARE), sample(27_000)]),
    (Minimum, "not alone", [replace(CRASHED, alone=False), sample(27_000, BARE)]),
    (Minimum, "over before", [CRASHED, FaultEnded(23_000, "power", "c", True),
        sample(27_000, BARE)]),
    (Minimum, "no death", [FaultBegan(0, "doomed agent", "c", True), sample(26_001, BARE)]),
    (Reconnection, "the same", [sample(0), CUT, sample(8_000), MENDED, sample(19_000)]),
    (Reconnection, "a count that fell", [sample(0), CUT, sample(8_000), MENDED, FEWER]),
    (Reconnection, "another fault", [sample(0), CUT, sample(8_000), MENDED,
        FaultBegan(10_000, "power", "a", False), sample(19_000, NEW_PID)]),
    (UnknownIsNotAbsent, "more than enough", [sample(0), STOPPED_OF_ONE]),
    (UnknownIsNotAbsent, "it has not heard of a revocation", [sample(0),
        replace(STOPPED, formerly=1)]),
    (RolloutsTakeNothing, "all", [FaultBegan(0, "plan", "faces", True), SIGNED, sample(1)]),
    (RolloutsTakeNothing, "a fault", [SIGNED, FaultBegan(0, "plan", "faces", True), CRASHED,
        sample(1, BARE)]),
    (RestStaysRest, "a fault", [sample(0, quiet_ms=61_000), CRASHED, STARTED]),
    (HonestRegister, "for a moment", [sample(0, LIAR), sample(1_000), sample(4_000, LIAR)]),
    (Bounded, "little", [sample(0), sample(5_000), sample(10_000)]),
    (BadVersions, "two", [*BAD_PLAN, *tries("ab")]),
    (BadVersions, "other faults", [FaultBegan(0, "cut", "a", False), *tries("abc")]),
    (TwoHolders, "another", [SIGNED, replace(GONE, artifact=bytes(32))]),
    (TwoHolders, "another plan", [SIGNED, replace(GONE, counter=2)]),
    (TwoHolders, "held by two", [SIGNED, replace(BOTH_HOLD, good=frozenset("b"))]),
    (NeverTwice, "alone, or as it may", [DOOR, replace(DOOR, leased=False, beside=("b",))]),
    (NeverRaises, "nothing", [sample(0)]),
    (RevokedShutOut, "in time", [REVOKED, sample(0, LINKED), sample(4_000, LINKED),
        sample(9_000, KNOWS)]),
    (RevokedShutOut, "known", [REVOKED, sample(0, KNOWS), sample(9_000, KNOWS)]),
    (RevokedShutOut, "not known", [replace(REVOKED, counter=4), sample(0, SHUNS_NOT),
        sample(9_000, SHUNS_NOT)]),
    (RevokedShutOut, "cut off meanwhile", [heard(0, KNOWS_NOT), sample(3_000, KNOWS_NOT),
        heard(6_000, KNOWS_NOT), heard(9_000, KNOWS_NOT)]),
    (RevokedShutOut, "its disk is full", [heard(0, KNOWS_NOT), heard(6_000, replace(KNOWS_NOT,
        able=False))]),
    (DrainedIsEmpty, "in time", [DRAIN, sample(9_000), sample(20_000, replace(BARE, awake=True))]),
    (DrainedIsEmpty, "no room", [DRAIN, sample(20_000, replace(GOOD_NODE,
        stays=frozenset({"faces"})))]),
    (DrainedIsEmpty, "another fault", [DRAIN, CRASHED, sample(20_000)]),
    (LocalChanges, "in an outage", [*SCALED, replace(CUT, alone=False), BOTH_SCALE]),
    (LocalChanges, "another fault", [*SCALED, CRASHED, sample(27_000)]),
    (LocalChanges, "ended", [*SCALED, BOTH_SCALE, ENDED[-1], sample(40_000, quiet_ms=30_000)]),
    (LocalChanges, "superseded", [*SCALED, SIGNED, sample(7_000)]),
    (LocalChanges, "a clock that is ahead", [*SCALED,
        Sample(7_000, {"a": SCALES, "b": AHEAD}, (FACES,), 3, None)]),
    (LocalChanges, "a clock that is behind", [*SCALED, replace(BOTH_SCALE, at_ms=90_000,
        quiet_ms=30_000)]),
    (LocalChanges, "another field", [*PIN_ENDED, sample(40_000, SCALES, quiet_ms=30_000)]),
    (OneAtATime, "one", [*LATER_PLAN, replace(TOGETHER, trying=frozenset())]),
    (RefusedStates, "refused", [*REFUSED_ALONE, sample(1), sample(2)]),
    (RefusedStates, "by what was in force", [IN_FORCE_SAVED, CoreStarted(2, "a", (1, 4), 1, (1, 3)),
        CoreStarted(3, "b", (0, 0), 1)]),
    (RefusedStates, "not alone", [*REFUSED_ALONE[:-1], replace(REFUSED_ALONE[-1], alone=False),
        STARTED, sample(1, NEW_PID)]),
    (RefusedStates, "under way", [replace(STARTED, at_ms=9_000), *REFUSED_ALONE,
        replace(DOOR, at_ms=21_000)]),
    (RefusedStates, "over", [*REFUSED_ALONE, FaultEnded(21_000, "bad state", "", True), STARTED]),
    (RefusedStates, "of no node of the site", [*REFUSED_ALONE, replace(DOOR, node="c")]),
    (OneAtATime, "known", [*LATER_PLAN, CRASHED, *LATER_PLAN[1:], TOGETHER]),
]  # fmt: skip


def broken(check: type[Check], facts: Sequence[Fact]) -> list[str]:
    watching = check()
    for fact in facts:
        watching.saw(fact)
    return [str(one) for one in watching.broken]


def cases(table: list[tuple[type[Check], str, Sequence[Fact]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("check", "facts"),
        [(check, facts) for check, _, facts in table],
        ids=[f"{check.__name__}: {name}" for check, name, _ in table],
    )


@cases(BROKEN)
def test_a_history_that_breaks_a_promise_is_found(
    check: type[Check], facts: Sequence[Fact]
) -> None:
    found = broken(check, facts)
    assert found
    assert all(check.promise in text for text in found)


@cases(KEPT)
def test_a_history_that_keeps_a_promise_is_not_blamed(
    check: type[Check], facts: Sequence[Fact]
) -> None:
    assert broken(check, facts) == []


def test_every_check_is_shown_to_fail_and_to_hold() -> None:
    assert {check for check, _, _ in BROKEN} == {check for check, _, _ in KEPT} == set(CHECKS)


def test_every_check_stands_in_the_documentation_with_its_promise() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ALGORITHM.md").read_text()
    stated = {(check, promise) for promise, check in ROW.findall(page)}
    assert stated == {(check.__name__, check.promise) for check in CHECKS}


def test_the_same_promise_is_told_a_few_times_only() -> None:
    assert len(broken(NeverRaises, [Raised(n, "a", "ValueError") for n in range(99)])) == BROKEN_MAX
