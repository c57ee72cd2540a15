"""Rollouts as one node sees them: what it learns, keeps, and makes of what others say or claim."""

from collections.abc import Mapping

import pytest

from mesh.core.rollouts import (
    EVIDENCE_MAX,
    REASON_CHARACTERS_MAX,
    ROLLOUTS,
    VERDICTS_MAX,
    Rollouts,
)
from mesh.core.runtime_view import RuntimeView
from mesh.core.stages import stage_of
from mesh.core.turns import TURN_STANDS_MS
from mesh.events import Instruction, SaveDocument, WriteJournal
from mesh.registers.store import NodeKeys, Registers
from mesh.site.changes import LOCAL_RESTART
from mesh.site.local import service_config
from mesh.site.rollout import PAUSED, Stage
from protos.documents_pb2 import (
    Boot,
    Phase,
    Plan,
    ReplicaState,
    ServicePlan,
    StableRegister,
)
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from tests.mesh.core.services import faces, verdict
from tests.sim import identities

ME = "a"
ORDERS = {"faces": ["a", "b", "c"]}
OLD, NEW, NEWEST = faces("1"), faces("2"), faces("3")


def plan(*services: ServicePlan) -> Plan:
    return Plan(site="south", services=services or (NEW,))


def state(service: ServicePlan, phase: Phase = Phase.SERVING, soaked: bool = True) -> ReplicaState:
    return ReplicaState(
        workload=service.name,
        config=service_config(service),
        phase=phase,
        soaked=soaked,
        reason="golden check: wrong" if phase == Phase.REFUSED else "",
    )


def runtime(*states: ReplicaState) -> RuntimeView:
    view = RuntimeView()
    view.update(RuntimeState(replicas=[ReplicaStatus(state=one, pid=1) for one in states]))
    return view


def refuses(service: ServicePlan, reason: str = "wrong") -> dict[str, object]:
    return {"verdicts": [verdict(service, reason)]}


def site(**bodies: Mapping[str, object]) -> Registers:
    """Registers of these nodes, each with these fields."""
    registers = Registers("south", lambda der: NodeKeys(der.decode(), "south", b"", b""))
    for node, fields in bodies.items():
        body = StableRegister(node=node, site="south", boot=Boot(counter=1), version=1, **fields)  # type: ignore[arg-type]
        registers.publish(body, identities.signer(node), NodeKeys(node, "south", b"", b""))
    return registers


def good_at(rollouts: Rollouts, *services: ServicePlan) -> Rollouts:
    """After these versions have passed here, one after the other."""
    for service in services:
        rollouts.learn(runtime(state(service)), plan(service))
    return rollouts


def chosen(
    rollouts: Rollouts, wanted: ServicePlan = NEW, held: tuple[bytes, ...] = (b"1", b"2")
) -> str:
    """The version that this node is to run."""
    return decided(rollouts, plan(wanted), ORDERS, held)[0]["faces"].model_version


def decided(
    rollouts: Rollouts, planned: Plan, orders: Mapping[str, list[str]], held: tuple[bytes, ...]
) -> tuple[dict[str, ServicePlan], list[Instruction]]:
    """What it decides once a turn that came has stood, and what it journals until then."""
    _, entries = rollouts.effective(planned, orders, held, 0)
    choice, later = rollouts.effective(planned, orders, held, TURN_STANDS_MS)
    return choice, [*entries, *later]


def documents(instructions: list[Instruction]) -> list[bytes]:
    return [one.data for one in instructions if isinstance(one, SaveDocument)]


def events(instructions: list[Instruction]) -> list[str]:
    return [one.event for one in instructions if isinstance(one, WriteJournal)]


# ---- what runs says ----


def test_what_soaked_here_is_good_and_kept_over_a_restart() -> None:
    rollouts = Rollouts(ME, site(), b"")
    done = rollouts.learn(runtime(state(NEW)), plan())
    assert events(done) == ["rollout.passed"]
    assert rollouts.learn(runtime(state(NEW)), plan()) == []
    again = Rollouts(ME, site(), documents(done)[0])
    assert again.last_good == {"faces": NEW}
    assert [one.name for one in done if isinstance(one, SaveDocument)] == [ROLLOUTS]


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(runtime(state(NEW, soaked=False)), id="has not soaked"),
        pytest.param(runtime(state(OLD)), id="another version"),
        pytest.param(runtime(), id="nothing runs"),
        pytest.param(RuntimeView(), id="the runtime has not spoken"),
    ],
)
def test_nothing_is_learnt_from_a_runtime_where(view: RuntimeView) -> None:
    rollouts = Rollouts(ME, site(), b"")
    rollouts.learn(view, plan())
    assert (rollouts.last_good, rollouts.verdicts) == ({}, [])


def test_a_refusal_is_journalled_once_with_its_evidence_and_kept() -> None:
    rollouts = Rollouts(ME, site(), b"")
    refused = runtime(state(NEW, Phase.REFUSED))
    done = rollouts.learn(refused, plan())
    assert events(done) == ["rollout.refused"]
    assert rollouts.learn(refused, plan()) == []
    again = Rollouts(ME, site(), documents(done)[0])
    assert [one.reason for one in again.verdicts] == ["golden check: wrong"]
    decided(again, plan(), ORDERS, ())
    assert again.turns["faces"].why == "the gate failed here; it is tried on one other node"


def test_the_newest_refusals_are_kept() -> None:
    rollouts = Rollouts(ME, site(), b"")
    for number in range(VERDICTS_MAX + 5):
        bad = faces(str(number))
        rollouts.learn(runtime(state(bad, Phase.REFUSED)), plan(bad))
    assert [v.model_version for v in rollouts.verdicts] == [str(n) for n in range(5, 37)]


def test_a_document_of_another_release_is_as_good_as_none() -> None:
    rollouts = Rollouts(ME, site(), b"\xff\xff")
    assert (rollouts.last_good, rollouts.verdicts) == ({}, [])


def test_a_service_that_was_deleted_begins_anew_when_it_is_created_again() -> None:
    rollouts = good_at(Rollouts(ME, site(), b""), OLD)
    rollouts.learn(runtime(), plan(faces(name="doors")))
    assert rollouts.last_good == {}
    assert chosen(rollouts) == "2"
    assert rollouts.turns["faces"].why == "no good version serves here that could be lost"


def test_a_plan_that_is_not_known_takes_no_memory_away() -> None:
    rollouts = good_at(Rollouts(ME, site(), b""), OLD)
    assert rollouts.learn(runtime(), Plan()) == []
    assert rollouts.last_good == {"faces": OLD}


# ---- whose turn ----


def test_the_first_tries_and_the_others_keep_the_last_good_version() -> None:
    wanted = faces("2", replicas_min=3, match_labels={"floor": "2"})
    for node, version in (("a", "2"), ("b", "1"), ("c", "1")):
        rollouts = good_at(Rollouts(node, site(), b""), OLD)
        service = decided(rollouts, plan(wanted), ORDERS, (b"1",))[0]["faces"]
        assert service.model_version == version
        assert (service.replicas_min, dict(service.match_labels)) == (3, {"floor": "2"})


def test_a_plan_that_goes_back_to_the_last_good_version_is_no_rollout() -> None:
    rollouts = good_at(Rollouts("c", site(), b""), OLD)
    assert chosen(rollouts, NEW) == "1"
    assert chosen(rollouts, OLD) == "1"
    assert rollouts.turns["faces"].why == "no good version serves here that could be lost"


def test_a_restart_goes_node_by_node_like_any_change() -> None:
    again = faces("1", restarts=1)
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    decided(rollouts, plan(again), ORDERS, ())
    assert rollouts.turns["faces"].why == "waits for a"


def test_a_paused_rollout_begins_no_turn_here_and_goes_on_when_it_is_resumed() -> None:
    rollouts = good_at(Rollouts(ME, site(), b""), OLD)
    assert chosen(rollouts, faces("2", paused=True)) == "1"
    assert rollouts.turns["faces"].why == PAUSED
    assert chosen(rollouts, NEW) == "2"


def test_what_an_operator_holds_is_no_part_of_a_version() -> None:
    rollouts = good_at(Rollouts(ME, site(), b""), faces("2", paused=True, pinned=True))
    assert rollouts.last_good == {"faces": NEW}
    rollouts.learn(runtime(state(NEW)), plan(NEW))
    assert chosen(rollouts, faces("2", paused=True)) == "2"
    assert rollouts.turns["faces"].why == "no good version serves here that could be lost"


def test_what_had_passed_here_goes_back_when_two_others_refuse_it() -> None:
    registers = site(b=refuses(NEW), c=refuses(NEW))
    rollouts = good_at(Rollouts(ME, registers, b""), OLD, NEW)
    choice, done = decided(rollouts, plan(), ORDERS, (b"1", b"2"))
    assert choice["faces"].model_version == "1"
    assert events(done) == ["rollout.refused_by_site"]
    rollouts.learn(runtime(state(NEW)), plan())  # until the runtime has gone back, it still says so
    assert rollouts.last_good["faces"].model_version == "1"
    assert chosen(rollouts) == "1"
    assert chosen(rollouts, NEWEST, (b"1", b"3")) == "3", "a newer plan starts anew"
    assert chosen(Rollouts(ME, registers, documents(done)[-1])) == "1", "also after a restart"


def test_it_goes_back_to_what_others_name_if_it_knows_no_older_one() -> None:
    named = {"last_good": [OLD]}
    registers = site(b=refuses(NEW) | named, c=refuses(NEW), d={"last_good": [NEW, OLD]})
    rollouts = good_at(Rollouts(ME, registers, b""), NEW)
    assert chosen(rollouts) == "1"


def test_with_nothing_older_anywhere_it_goes_on_with_what_it_has() -> None:
    registers = site(b=refuses(NEW), c=refuses(NEW), d={"last_good": [NEW]})
    rollouts = good_at(Rollouts(ME, registers, b""), NEW)
    assert chosen(rollouts) == "2"


def test_when_the_refusals_are_gone_the_rollout_goes_on() -> None:
    registers = site(b=refuses(NEW), c=refuses(NEW))
    rollouts = good_at(Rollouts(ME, registers, b""), OLD, NEW)
    assert chosen(rollouts) == "1"
    registers.forget(["b", "c"])  # revoked
    assert chosen(rollouts) == "2"
    assert events(rollouts.learn(runtime(state(NEW)), plan())) == ["rollout.passed"]


def test_a_node_that_takes_over_starts_the_last_good_version_before_it_tries_a_refused_one() -> (
    None
):
    registers = site(a={"last_good": [OLD]} | refuses(NEW))
    rollouts = Rollouts("b", registers, b"")
    orders = {"faces": ["b", "c"]}

    def version(held: bytes) -> str:
        return decided(rollouts, plan(), orders, (held,))[0]["faces"].model_version

    assert version(b"1") == "1"
    assert version(b"2") == "2", "unless it cannot: its artifact is not here"
    rollouts.learn(runtime(state(OLD, Phase.LOADING)), plan())
    assert version(b"1") == "1"
    rollouts.learn(runtime(state(OLD)), plan())
    assert version(b"1") == "2"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({}, "2", id="nobody names one: nothing can be lost"),
        pytest.param({"b": [OLD]}, "1", id="one names it"),
        pytest.param({"b": [OLD], "d": [faces("0")], "e": [OLD]}, "1", id="the most count"),
        pytest.param({"b": [OLD], "d": [faces("0")]}, "1", id="a tie: the greatest bytes"),
        pytest.param({"b": [faces("9", name="doors")]}, "2", id="another service's says nothing"),
    ],
)
def test_which_version_a_node_without_one_of_its_own_goes_by(
    claims: dict[str, list[ServicePlan]], expected: str
) -> None:
    registers = site(**{node: {"last_good": named} for node, named in claims.items()})
    assert chosen(Rollouts("c", registers, b"")) == expected


def test_changes_of_what_a_node_does_are_journalled_once() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    assert events(decided(rollouts, plan(OLD), ORDERS, ())[1]) == []
    assert events(decided(rollouts, plan(), ORDERS, ())[1]) == ["rollout.turn"]
    assert events(decided(rollouts, plan(), ORDERS, ())[1]) == []


# ---- what others claim ----


def test_one_lying_node_refuses_nothing_alone() -> None:
    registers = site(z=refuses(NEW))
    alone = {"faces": ["a"]}
    rollouts = good_at(Rollouts(ME, registers, b""), OLD, NEW)
    assert decided(rollouts, plan(), alone, ())[0]["faces"].model_version == "2"
    assert rollouts.refused_by_site(plan(), alone) == {}


def test_two_liars_hold_a_version_back_and_stand_in_the_alarm() -> None:
    rollouts = good_at(Rollouts(ME, site(y=refuses(NEW), z=refuses(NEW, "no")), b""), OLD)
    assert chosen(rollouts) == "1"
    text = rollouts.refused_by_site(plan(), ORDERS)["faces"]
    assert "m@2 failed its gate" in text
    assert "y: wrong; z: no" in text


def test_what_liars_write_does_not_fill_our_alarms() -> None:
    liars = {f"n{number}": refuses(NEW, "x" * 10_000) for number in range(20)}
    text = Rollouts(ME, site(**liars), b"").refused_by_site(plan(), ORDERS)["faces"]
    assert len(text) < EVIDENCE_MAX * (REASON_CHARACTERS_MAX + 10) + 100


@pytest.mark.parametrize(
    ("fields", "service", "stage"),
    [
        pytest.param({}, NEW, Stage.OLD, id="runs nothing"),
        pytest.param({"replicas": [state(OLD)]}, NEW, Stage.OLD, id="runs another"),
        pytest.param(
            {"replicas": [state(NEW, Phase.FETCHING, False)]}, NEW, Stage.OLD, id="fetches it"
        ),
        pytest.param(
            {"replicas": [state(NEW), state(NEW, soaked=False)]}, NEW, Stage.TRYING, id="one soaks"
        ),
        pytest.param({"replicas": [state(OLD), state(NEW)]}, NEW, Stage.PASSED, id="soaked"),
        pytest.param(
            {"replicas": [state(NEW, soaked=False)]}, NEW, Stage.TRYING, id="an older release"
        ),
        pytest.param(
            {"replicas": [state(faces(soak_ms=0), soaked=False)]},
            faces(soak_ms=0),
            Stage.PASSED,
            id="an older release, and no soak is asked for",
        ),
        pytest.param(
            {"replicas": [state(NEW)]} | refuses(NEW), NEW, Stage.REFUSED, id="refuses what runs"
        ),
    ],
)
def test_how_far_a_register_says_that_a_node_is(
    fields: dict[str, object], service: ServicePlan, stage: Stage
) -> None:
    assert stage_of(StableRegister(**fields), service) is stage  # type: ignore[arg-type]


# ---- what operators at the site did ----


def test_what_was_restarted_here_or_elsewhere_stays_as_it_is() -> None:
    done = faces("2", restarts=LOCAL_RESTART)
    assert good_at(Rollouts(ME, site(), b""), NEW).kept(plan()) is not None
    own = good_at(Rollouts(ME, site(), b""), done)
    assert own.kept(plan()).services[0].restarts == LOCAL_RESTART
    assert own.kept(plan(OLD)) == plan(OLD), "another version"
    others = Rollouts(ME, site(b={"last_good": [done]}, c={"last_good": [faces("9")]}), b"")
    assert others.kept(plan()).services[0].restarts in (0, LOCAL_RESTART)
    agreed = Rollouts(ME, site(b={"last_good": [done]}, c={"last_good": [done]}), b"")
    assert agreed.kept(plan()).services[0].restarts == LOCAL_RESTART
    plain = plan()
    assert Rollouts(ME, site(b={"last_good": [NEW]}), b"").kept(plain) is plain


def test_the_version_before_is_this_nodes_own_or_what_most_name() -> None:
    mine = good_at(Rollouts(ME, site(), b""), OLD, NEW, faces("2", restarts=LOCAL_RESTART))
    assert mine.earlier(NEW) == OLD, "a restart is no version"
    assert mine.earlier(OLD) == faces("2", restarts=LOCAL_RESTART), "undone again it returns"
    again = Rollouts(ME, site(), mine._document)
    assert again.earlier(NEW) == OLD, "over a restart of this agent"
    assert mine.earlier(faces("2", model="another")) is None
    named = {"b": {"last_good": [OLD]}, "c": {"last_good": [OLD]}, "d": {"last_good": [NEWEST]}}
    assert Rollouts(ME, site(**named), b"").earlier(NEW) == OLD
    assert Rollouts(ME, site(b={"last_good": [NEW]}), b"").earlier(NEW) is None


def test_the_artifacts_of_what_may_be_gone_back_to_are_kept() -> None:
    mine = good_at(Rollouts(ME, site(), b""), OLD, NEW, faces("2", restarts=LOCAL_RESTART))
    assert mine.good_artifacts() == {OLD.artifact, NEW.artifact}
