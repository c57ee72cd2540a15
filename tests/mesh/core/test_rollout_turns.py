"""A turn that has begun is kept: what a node said of itself last is older than what it does."""

from mesh.core.rollouts import Rollouts
from mesh.events import WriteJournal
from protos.documents_pb2 import Phase, ServicePlan
from tests.mesh.core.test_rollouts import (
    NEW,
    NEWEST,
    OLD,
    decided,
    good_at,
    plan,
    refuses,
    runtime,
    site,
    state,
)
from tests.sim.site import Site

BOTH = (b"1", b"2")
FIRST, SECOND = {"faces": ["b", "a"]}, {"faces": ["a", "b"]}


def version(
    rollouts: Rollouts,
    orders: dict[str, list[str]],
    wanted: ServicePlan = NEW,
    held: tuple[bytes, ...] = BOTH,
) -> str:
    return decided(rollouts, plan(wanted), orders, held)[0]["faces"].model_version


def test_a_turn_that_has_begun_is_kept_when_another_is_first_before_the_register_says_so() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    assert version(rollouts, FIRST) == "2"
    assert version(rollouts, SECOND) == "2"
    assert rollouts.turns["faces"].why == "it is being tried here"


def now(rollouts: Rollouts, orders: dict[str, list[str]], now_ms: int) -> str:
    rollouts.effective(plan(NEW), orders, BOTH, now_ms)
    return rollouts.turns["faces"].why


def test_a_turn_begins_only_after_it_has_stood_for_a_second() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    waits = "its turn, once that has stood for a second"
    assert now(rollouts, FIRST, 5_000) == waits
    assert not rollouts.coming.is_due(5_999)
    assert now(rollouts, FIRST, 5_999) == waits
    assert rollouts.coming.is_due(6_000)
    assert now(rollouts, FIRST, 6_000) == "its turn"
    assert not rollouts.coming.is_due(6_001), "it was looked at"


def test_a_turn_that_went_meanwhile_stands_anew() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    now(rollouts, FIRST, 5_000)
    assert now(rollouts, SECOND, 5_500) == "waits for a"
    assert not rollouts.coming.is_due(9_000)
    assert now(rollouts, FIRST, 6_000) == "its turn, once that has stood for a second"
    assert now(rollouts, FIRST, 7_000) == "its turn"


def test_a_turn_without_the_model_has_not_begun() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    version(rollouts, FIRST, held=(b"1",))
    assert version(rollouts, SECOND) == "1"
    assert rollouts.turns["faces"].why == "waits for a"


def test_a_turn_is_journalled_once_it_begins() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    decided(rollouts, plan(OLD), FIRST, BOTH)
    told = []
    for orders, held in ((FIRST, (b"1",)), (SECOND, BOTH), (FIRST, BOTH)):
        told += decided(rollouts, plan(NEW), orders, held)[1]
    reasons = [one.cause for one in told if isinstance(one, WriteJournal)]
    assert reasons == ["waits for a", "its turn"], "without the model it has not begun"


def test_a_turn_ends_with_its_plan_and_where_the_service_is_not_placed() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    assert version(rollouts, FIRST) == "2"
    assert version(rollouts, SECOND, NEWEST, (b"1", b"3")) == "1"
    assert version(rollouts, SECOND) == "1", "back to the plan before: it waits again"
    assert version(rollouts, FIRST) == "2"
    version(rollouts, {"faces": ["a"]})
    assert version(rollouts, SECOND) == "1"


def test_a_turn_that_the_site_refused_begins_anew_when_the_refusals_are_gone() -> None:
    registers = site(c=refuses(NEW), d=refuses(NEW))
    rollouts = good_at(Rollouts("b", registers, b""), OLD)
    rollouts.learn(runtime(state(OLD), state(NEW, Phase.LOADING, soaked=False)), plan())
    assert version(rollouts, FIRST) == "1"
    registers.forget(["c", "d"])  # revoked
    assert version(rollouts, SECOND) == "1"
    assert rollouts.turns["faces"].why == "waits for a"


def test_an_agent_that_starts_anew_keeps_the_turn_that_its_runtime_shows() -> None:
    rollouts = good_at(Rollouts("b", site(), b""), OLD)
    rollouts.learn(runtime(state(OLD), state(NEW, Phase.LOADING, soaked=False)), plan())
    assert version(rollouts, SECOND) == "2"


def test_going_back_and_forth_between_versions_that_all_hold_starts_each_once() -> None:
    site = Site(2)
    site.boot()
    site.world.run(2_000)
    site.publish(2, soak_ms=2_000)
    site.world.run_until(lambda: site.serving() == 2, 15_000, "replicas serve")
    site.world.run(5_000)
    for number in range(1, 7):
        for node in site.nodes:
            node.starts.clear()
        wanted = f"{1 + number % 2}.0.0"
        site.publish(2, version=wanted, soak_ms=2_000)
        site.world.run(20_000)
        assert sorted(v for found in site.versions().values() for v in found) == [wanted] * 2
        assert [len(node.starts) for node in site.nodes] == [1, 1]
