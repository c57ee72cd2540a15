"""What a node decides anew about when another says something, and what it only takes note of."""

import pytest

from mesh.core.grounds import NO_GROUNDS, Grounds
from mesh.core.messages import Trouble
from mesh.core.quiet import LOOK_EVERY_MS
from mesh.core.share import Share
from mesh.registers.store import Record
from protos.documents_pb2 import AlarmState, ReplicaState, StableRegister, Suspicion
from tests.mesh.core.changing import settled, submit
from tests.sim import identities
from tests.sim.nodes import SimNode
from tests.sim.operators import local_change
from tests.sim.site import Site


def said(**fields: object) -> Record:
    body = StableRegister(node="other", version=1)
    body.MergeFrom(StableRegister(**fields))  # type: ignore[arg-type]
    return Record(body, b"", b"", identities.node_keys("south", "other"))


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"wan": True},
        {"suspicions": [Suspicion(node="third")]},
        {"alarms": [AlarmState(kind="Disk", subject="state")]},
        {"copy_holder": "third"},
        {"seen_counter": 5},
        {"applied_counter": 5},
        {"in_force_counter": 5},
        {"in_force_generation": 2},
        {"local_changes": [b"change"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_no_decision_rests_on_is_no_ground_for_one(fields: dict[str, object]) -> None:
    grounds = Grounds()
    assert grounds.changed(said())
    assert not grounds.changed(said(**fields))
    assert next(iter(fields)) in NO_GROUNDS


def test_anything_else_is() -> None:
    grounds = Grounds()
    grounds.changed(said())
    serves = [ReplicaState(workload="faces")]
    assert grounds.changed(said(replicas=serves))
    assert not grounds.changed(said(replicas=serves, version=9))
    assert grounds.changed(said(version=10))


def test_whatever_a_node_says_after_its_death_is_a_ground() -> None:
    grounds = Grounds()
    grounds.changed(said())
    grounds.doubted("other")
    assert grounds.changed(said())
    grounds.doubted("nobody")


def causes(node: SimNode, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why the node decides, from now on."""
    causes: list[str] = []
    decide = Share.decide

    def note(share: Share, cause: str, now_ms: int) -> object:
        if share is node.core.share:
            causes.append(cause)
        return decide(share, cause, now_ms)

    monkeypatch.setattr(Share, "decide", note)
    return causes


def test_an_alarm_of_a_neighbour_is_no_reason_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(nodes=3).settle()
    site.world.run(5_000)
    one, other = site.nodes[:2]
    decided, said = causes(one, monkeypatch), other.core.register.version
    other.feed(Trouble("DataFolder", "disk", "full", "critical"))
    site.world.run(2 * LOOK_EVERY_MS + 500)
    assert one.core.membership.registers.get(other.name).body.version > said  # type: ignore[union-attr]
    assert decided == []


def test_a_local_change_that_is_new_here_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = settled(3)
    site.world.run(5_000)
    one, other = site.nodes[:2]
    decided = causes(one, monkeypatch)
    submit(other, local_change(other, value="2"))
    site.world.run(LOOK_EVERY_MS // 4)
    assert decided[:1] == [f"the register of {other.name}"]
