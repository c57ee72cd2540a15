"""The counts of services as one node sees them: whose word counts, and what follows from loads."""

import pytest

from mesh.core.counts import LOOK_EVERY_MS, Counts
from mesh.events import WriteJournal
from mesh.registers.store import NodeKeys, Registers
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
        self, node: str, count: int | None = None, serves: str = "", delay_ms: int | None = None
    ) -> None:
        """What a node says: a count, what it serves, the load of that."""
        body = StableRegister(node=node, site="south", boot=BOOT, version=1)
        if count is not None:
            body.counts.add(workload="faces", replicas=count)
            body.counts.add(workload="doors", replicas=9)
        if serves:
            body.replicas.append(ReplicaState(workload=serves, phase=Phase.SERVING))
            body.replicas.append(ReplicaState(workload="faces", phase=Phase.LOADING))
        self.registers.publish(body, identities.signer(node), keys(node))
        if delay_ms is not None:
            loads = [
                ServiceLoad(workload="doors", queue_delay_ms=10**9),
                ServiceLoad(workload="faces", queue_delay_ms=delay_ms),
            ]
            load = LoadRegister(node=node, boot=BOOT, version=1, services=loads)
            self.registers.publish_load(load, identities.signer(node))

    def look(self, counts: Counts, for_ms: int, live: set[str] = LIVE) -> list[str]:
        """Lets time pass; why the count changed, each time."""
        causes = []
        for _ in range(for_ms // LOOK_EVERY_MS):
            self.now_ms += LOOK_EVERY_MS
            for entry in counts.tick(PLAN, live, self.now_ms):
                assert isinstance(entry, WriteJournal)
                causes.append(entry.cause)
        return causes


def test_only_the_keeper_keeps_the_count() -> None:
    world = World()
    for node in sorted(LIVE):
        counts = Counts(node, world.registers, 0)
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
    assert Counts("z", world.registers, 0).of(PLAN, live) == {"faces": expected}


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
    for node, delay_ms in loads.items():
        world.say(node, serves="faces", delay_ms=delay_ms)
    counts = Counts(KEEPER, world.registers, 0)
    world.look(counts, UP_AFTER_MS + LOOK_EVERY_MS)
    assert counts.of(PLAN, LIVE) == {"faces": expected}


def test_a_node_that_serves_something_else_says_nothing_of_this_service() -> None:
    world = World()
    world.say(OTHER, serves="doors", delay_ms=10**9)
    counts = Counts(KEEPER, world.registers, 0)
    assert world.look(counts, 4 * UP_AFTER_MS) == []


def test_a_new_keeper_adopts_the_highest_count_also_of_the_one_that_died() -> None:
    world = World()
    world.say("dead", 3)
    counts = Counts(KEEPER, world.registers, 0)
    assert world.look(counts, LOOK_EVERY_MS) == []
    assert counts.kept()[0].replicas == 3
    liars = World()
    liars.say("dead", 10**6)
    kept = Counts(KEEPER, liars.registers, 0)
    assert liars.look(kept, LOOK_EVERY_MS) == ["the plan's bounds changed"]
    assert kept.kept()[0].replicas == 4


def test_who_is_the_keeper_no_longer_says_nothing_more() -> None:
    world = World()
    heir = keeper("faces", LIVE - {KEEPER}) or ""
    counts = Counts(heir, world.registers, 0)
    world.look(counts, LOOK_EVERY_MS, LIVE - {KEEPER})
    assert counts.kept()
    world.look(counts, LOOK_EVERY_MS)
    assert counts.kept() == []


def test_between_two_looks_nothing_is_computed() -> None:
    world = World()
    counts = Counts(KEEPER, world.registers, 0)
    assert counts.tick(PLAN, LIVE, LOOK_EVERY_MS - 1) == []
    assert counts.kept() == []
