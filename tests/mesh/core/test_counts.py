"""The counts of services as one node sees them: whose word counts, and what follows from loads."""

import pytest

from mesh.core.counts import LOOK_EVERY_MS, Counts
from mesh.core.demand import WANTED_MAX
from mesh.core.far_loads import CONFIRMED_MS
from mesh.core.runtime_view import RuntimeView
from mesh.events import WriteJournal
from mesh.registers.store import NodeKeys, Registers
from mesh.site.local import service_config
from mesh.site.scaling import UP_AFTER_MS, keeper
from protos.documents_pb2 import (
    Boot,
    LoadRegister,
    Phase,
    Plan,
    ReplicaState,
    ServiceCount,
    ServiceLoad,
    ServicePlan,
    StableRegister,
)
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from tests.sim import identities

BOOT = Boot(counter=1, nonce=b"12345678")
LIVE = {"a", "b", "c"}
KEEPER = keeper("faces", LIVE) or ""
OTHER, THIRD = sorted(LIVE - {KEEPER})
PLAN = Plan(
    services=[
        ServicePlan(
            name="faces",
            replicas_min=1,
            replicas_max=4,
            queue_delay_ms=20,
            down_after_ms=60_000,
        )
    ]
)


def keys(node: str) -> NodeKeys:
    return NodeKeys(node, "south", identities.signer(node).public_key, b"")


class World:
    """The registers of a site, as a test writes them."""

    def __init__(self) -> None:
        self.registers = Registers("south", lambda der: keys(der.decode()))
        self.now_ms = 0

    def say(
        self,
        node: str,
        count: int | None = None,
        serves: str = "",
        delay_ms: int | None = None,
        rate: int | None = None,
        wanted: str = "",
        known: str = "",
    ) -> None:
        """What a node says: a count, what it serves, the load of that; what is wanted there, and
        whether it knows the sleeper's configuration as good or bad."""
        body = StableRegister(node=node, site="south", boot=BOOT, version=1)
        if count is not None:
            body.counts.add(workload="faces", replicas=count)
            body.counts.add(workload="doors", replicas=9)
        if wanted:
            body.wanted.append(wanted)
        if known == "good":
            body.last_good.extend([ServicePlan(name="doors"), SLEEPER.services[0]])
        if known == "bad":
            body.verdicts.add(workload="doors", config=CONFIG)
            body.verdicts.add(workload="faces", config=CONFIG)
        if serves:
            body.replicas.append(ReplicaState(workload=serves, phase=Phase.SERVING))
            body.replicas.append(ReplicaState(workload="faces", phase=Phase.LOADING))
        self.registers.publish(body, identities.signer(node), keys(node))
        if delay_ms is not None or rate is not None:
            loads = [
                ServiceLoad(workload="doors", queue_delay_ms=10**9, requests_per_second=9),
                ServiceLoad(workload="faces", queue_delay_ms=delay_ms, requests_per_second=rate),
            ]
            load = LoadRegister(node=node, boot=BOOT, version=1, services=loads)
            envelope = identities.signer(node).sign("load", load.SerializeToString())
            self.registers.accept_load(envelope, self.now_ms)

    def look(
        self, counts: Counts, for_ms: int, live: set[str] = LIVE, linked: set[str] = LIVE
    ) -> list[str]:
        """Lets time pass; why the count changed, each time."""
        causes = []
        for _ in range(for_ms // LOOK_EVERY_MS):
            self.now_ms += LOOK_EVERY_MS
            for entry in counts.tick(PLAN, live, linked, self.now_ms):
                assert isinstance(entry, WriteJournal)
                causes.append(entry.cause)
        return causes


def test_only_the_keeper_keeps_the_count() -> None:
    world = World()
    for node in sorted(LIVE):
        counts = Counts(node, world.registers, RuntimeView(), 0)
        world.look(counts, LOOK_EVERY_MS)
        kept = [ServiceCount(workload="faces", replicas=1)] if node == KEEPER else []
        assert counts.kept() == kept


@pytest.mark.parametrize(
    ("said", "live", "expected"),
    [
        pytest.param({KEEPER: 3, OTHER: 4}, LIVE, 3, id="the keeper's"),
        pytest.param({OTHER: 2, THIRD: 4}, LIVE, 4, id="the highest before it has spoken"),
        pytest.param({KEEPER: 4_294_967_295}, LIVE, 4, id="an absurd one is max"),
        pytest.param({KEEPER: 4}, {OTHER, THIRD}, 1, id="of the dead nothing"),
        pytest.param({}, LIVE, 1, id="nothing is said"),
    ],
)
def test_the_count_that_a_node_goes_by(said: dict[str, int], live: set[str], expected: int) -> None:
    world = World()
    for node, count in said.items():
        world.say(node, count)
    assert Counts("z", world.registers, RuntimeView(), 0).of(PLAN, live) == {"faces": expected}


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        pytest.param({OTHER: 90}, 2, id="one that serves is believed"),
        pytest.param({OTHER: 90, THIRD: None}, 1, id="who says nothing has nothing in its queue"),
        pytest.param({KEEPER: 0, OTHER: 10**6, THIRD: 0}, 1, id="one liar of three moves nothing"),
        pytest.param({KEEPER: 90, OTHER: 90, THIRD: 0}, 2, id="most are busy"),
        pytest.param({"dead": 90}, 1, id="the load of the dead is no load"),
    ],
)
def test_what_follows_from_loads(loads: dict[str, int | None], expected: int) -> None:
    world = World()
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    world.look(counts, LOOK_EVERY_MS)
    for node, delay_ms in loads.items():
        world.say(node, serves="faces", delay_ms=delay_ms)
    world.look(counts, UP_AFTER_MS + LOOK_EVERY_MS)
    assert counts.of(PLAN, LIVE) == {"faces": expected}


@pytest.mark.parametrize(
    ("for_ms", "linked", "expected"),
    [
        pytest.param(UP_AFTER_MS + LOOK_EVERY_MS, set(), 3, id="somebody has said it lately"),
        pytest.param(UP_AFTER_MS + LOOK_EVERY_MS, {OTHER}, 3, id="it is linked"),
        pytest.param(CONFIRMED_MS, {OTHER}, 3, id="and that is enough"),
        pytest.param(CONFIRMED_MS, set(), 2, id="its last word is old"),
    ],
)
def test_what_follows_from_the_load_of_a_node_without_a_link(
    for_ms: int, linked: set[str], expected: int
) -> None:
    world = World()
    world.say(KEEPER, 2)
    world.say(OTHER, serves="faces", delay_ms=90)
    world.now_ms = for_ms - UP_AFTER_MS - LOOK_EVERY_MS
    counts = Counts(KEEPER, world.registers, RuntimeView(), world.now_ms)
    world.look(counts, UP_AFTER_MS + LOOK_EVERY_MS, linked=linked)
    assert counts.numbers() == {"faces": expected}


def test_a_node_that_serves_something_else_says_nothing_of_this_service() -> None:
    world = World()
    world.say(OTHER, serves="doors", delay_ms=10**9)
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    assert world.look(counts, 4 * UP_AFTER_MS) == []


def test_a_new_keeper_adopts_the_highest_count_also_of_the_one_that_died() -> None:
    world = World()
    world.say("dead", 3)
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    assert world.look(counts, LOOK_EVERY_MS) == []
    assert counts.kept()[0].replicas == 3
    liars = World()
    liars.say("dead", 10**6)
    kept = Counts(KEEPER, liars.registers, RuntimeView(), 0)
    assert liars.look(kept, LOOK_EVERY_MS) == ["its bounds changed: a plan, or an operator here"]
    assert kept.kept()[0].replicas == 4


def test_who_is_the_keeper_no_longer_says_nothing_more() -> None:
    world = World()
    heir = keeper("faces", LIVE - {KEEPER}) or ""
    counts = Counts(heir, world.registers, RuntimeView(), 0)
    world.look(counts, LOOK_EVERY_MS, LIVE - {KEEPER})
    assert counts.kept()
    world.look(counts, LOOK_EVERY_MS)
    assert counts.kept() == []


def test_between_two_looks_nothing_is_computed() -> None:
    world = World()
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    assert counts.tick(PLAN, LIVE, LIVE, LOOK_EVERY_MS - 1) == []
    assert counts.kept() == []


# ---- services that may sleep ----

SLEEPER = Plan(services=[ServicePlan(name="faces", replicas_max=4, down_after_ms=4_000)])
CONFIG = service_config(SLEEPER.services[0])


def waits(*names: str) -> RuntimeView:
    """A runtime where requests wait for these services."""
    runtime = RuntimeView()
    loads = [ServiceLoad(workload=name, waiting=1) for name in names]
    runtime.update(RuntimeState(loads=loads))
    return runtime


def test_a_node_says_what_is_wanted_until_the_keeper_has_taken_it_up() -> None:
    world = World()
    counts = Counts(OTHER, world.registers, waits("faces", "unknown"), 0)
    counts.look(SLEEPER, LIVE)
    assert counts.demand.wanted == ["faces"]
    assert counts.of(SLEEPER, LIVE) == {"faces": 1}
    counts.demand._runtime.update(RuntimeState())
    counts.look(SLEEPER, LIVE)
    assert counts.demand.wanted == ["faces"], "it gave up, and the keeper has not heard yet"
    world.say(KEEPER, 1)
    counts.look(SLEEPER, LIVE)
    assert counts.demand.wanted == []


def test_what_may_not_sleep_any_more_is_not_said_to_be_wanted() -> None:
    counts = Counts(OTHER, World().registers, waits("faces"), 0)
    counts.look(SLEEPER, LIVE)
    counts.look(PLAN, LIVE)
    assert counts.demand.wanted == []


def test_so_many_services_are_said_to_be_wanted_and_no_more() -> None:
    names = [f"s{number:03}" for number in range(WANTED_MAX + 1)]
    plan = Plan(services=[ServicePlan(name=name, replicas_max=1) for name in names])
    counts = Counts(OTHER, World().registers, waits(*names), 0)
    counts.look(plan, LIVE)
    assert counts.demand.wanted == names[:WANTED_MAX]
    assert set(counts.of(plan, LIVE).values()) == {1}, "this node itself goes by all"


@pytest.mark.parametrize(
    ("said", "live", "expected"),
    [
        pytest.param({"wanted": "faces"}, LIVE, 1, id="a live node wants it"),
        pytest.param({"wanted": "doors"}, LIVE, 0, id="it wants another"),
        pytest.param({"wanted": "faces"}, {KEEPER}, 0, id="a dead one wants it"),
        pytest.param({"serves": "faces"}, LIVE, 1, id="before the keeper spoke, what serves stays"),
        pytest.param({"serves": "faces"}, {KEEPER}, 0, id="the dead serve nothing"),
    ],
)
def test_what_others_say_of_a_service_that_may_sleep(
    said: dict[str, str], live: set[str], expected: int
) -> None:
    world = World()
    world.say(OTHER, **said)
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    assert counts.of(SLEEPER, live) == {"faces": expected}
    counts.tick(SLEEPER, live, live, LOOK_EVERY_MS)
    kept = 1 if said.get("wanted") != "faces" or expected else 0
    assert counts.numbers()["faces"] in (kept, 1)


def test_an_untried_configuration_is_tried_and_one_that_was_tried_may_sleep() -> None:
    untried = World()
    counts = Counts(KEEPER, untried.registers, RuntimeView(), 0)
    (entry,) = counts.tick(SLEEPER, LIVE, LIVE, LOOK_EVERY_MS)
    assert isinstance(entry, WriteJournal)
    assert "not been tried" in entry.cause
    for known in ("good", "bad"):
        tried = World()
        tried.say(OTHER, known=known)
        counts = Counts(KEEPER, tried.registers, RuntimeView(), 0)
        assert counts.tick(SLEEPER, LIVE, LIVE, LOOK_EVERY_MS) == []
        assert counts.numbers() == {"faces": 0}


def test_what_is_untried_sleeps_on_while_its_rollout_is_paused() -> None:
    paused = Plan()
    paused.CopyFrom(SLEEPER)
    paused.services[0].paused = True
    counts = Counts(KEEPER, World().registers, RuntimeView(), 0)
    assert counts.tick(paused, LIVE, LIVE, LOOK_EVERY_MS) == []


@pytest.mark.parametrize(
    ("loads", "linked", "expected"),
    [
        pytest.param({OTHER: 0, THIRD: 0}, LIVE, 0, id="all say that nobody asks"),
        pytest.param({OTHER: 0, THIRD: 1}, LIVE, 1, id="one is asked"),
        pytest.param({OTHER: 0, THIRD: None}, LIVE, 1, id="one has not spoken"),
        pytest.param({OTHER: 0, THIRD: 0}, {OTHER}, 1, id="what one said before its link broke"),
        pytest.param({KEEPER: 0}, set(), 0, id="it serves here alone"),
        pytest.param({}, LIVE, 1, id="what serves nowhere is not idle: its alarm stays"),
    ],
)
def test_when_the_last_replica_goes(
    loads: dict[str, int | None], linked: set[str], expected: int
) -> None:
    world = World()
    world.say(KEEPER, 1, known="good")
    for node, rate in loads.items():
        known = "good" if node == KEEPER else ""
        world.say(node, serves="faces", rate=rate, known=known)
    counts = Counts(KEEPER, world.registers, RuntimeView(), 0)
    for now_ms in range(LOOK_EVERY_MS, 6_000, LOOK_EVERY_MS):
        counts.tick(SLEEPER, LIVE, linked, now_ms)
    assert counts.numbers() == {"faces": expected}


def test_a_keeper_that_starts_anew_adopts_what_serves() -> None:
    world = World()
    for node in sorted(LIVE - {KEEPER}):
        world.say(node, serves="faces")
    here = RuntimeView()
    here.update(
        RuntimeState(
            replicas=[
                ReplicaStatus(state=ReplicaState(workload=name, phase=Phase.SERVING))
                for name in ("doors", "faces")
            ]
        )
    )
    counts = Counts(KEEPER, world.registers, here, 0)
    assert counts.of(PLAN, LIVE) == {"faces": 3}
    assert world.look(counts, LOOK_EVERY_MS) == []
    assert counts.numbers() == {"faces": 3}
    assert counts.of(PLAN, {KEEPER}) == {"faces": 3}, "it has spoken"
