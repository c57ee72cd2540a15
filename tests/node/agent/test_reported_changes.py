"""What a master reads of local changes in registers: those that the site's nodes still go by."""

import pytest

from mesh.core.changes import HELD_MAX
from mesh.core.site_plan import site_plan
from mesh.site.changes import Change, open_change
from node.agent.local_changes import reported_changes, scaled
from protos.documents_pb2 import Autonomy, Plan, StableRegister
from tests.mesh.core.changing import HOUR, settled
from tests.sim.nodes import SimNode
from tests.sim.operators import local_change


@pytest.fixture
def node() -> SimNode:
    (node,) = settled(1).nodes
    return node


def read(
    node: SimNode, *envelopes: bytes, plan: Plan | None = None, later_ms: int = 0
) -> list[str]:
    """The fields and values that a master reads in the register of a node that lists these, under
    the node's plan, or another one that a later state has."""
    body = StableRegister(node=node.name, site="south", local_changes=envelopes)
    core = node.core
    planned = plan if plan is not None else core.in_force.planned
    counter = core.in_force.counter + (1 if plan is not None else 0)
    now = core.unix_ms() + later_ms
    changes = reported_changes([body], core.peer.heads.trust, planned, counter, now)
    assert site_plan(planned, changes, core.membership.registers)
    return [f"{one.body.field}={one.body.value}" for one in changes]


def test_the_count_of_a_site_is_that_of_the_highest_change(node: SimNode) -> None:
    def made(counter: int, value: str, field: str = "scale") -> Change:
        envelope = local_change(node, counter=counter, value=value, field=field, artifact=b"a" * 32)
        trust = node.core.peer.heads.trust
        return open_change(envelope, trust.keys("operator"), trust.mesh, "south")

    three, four, over, pinned = made(1, "3"), made(2, "4"), made(3, ""), made(9, "1.0.0", "pin")
    assert scaled([pinned]) == {}
    assert scaled([four, three, pinned]) == {"faces": {"south": 4}}
    assert scaled([over, three, four]) == {"faces": {}}


def planned(node: SimNode) -> Plan:
    plan = Plan()
    plan.CopyFrom(node.core.in_force.planned)
    return plan


def test_what_counts_at_the_site_is_read_as_often_as_a_node_may_hold_it(node: SimNode) -> None:
    ends = [local_change(node, value="", counter=n, field="pin") for n in range(1, HELD_MAX)]
    assert read(node, *ends, local_change(node))[-1] == "scale=3"
    assert len(read(node, *ends, *ends, local_change(node))) == len(ends)


def test_one_whose_time_is_over_is_not_read_whoever_lists_it(node: SimNode) -> None:
    assert read(node, local_change(node), later_ms=HOUR - 1) == ["scale=3"]
    assert read(node, local_change(node), later_ms=HOUR) == []


def test_one_that_a_plan_has_ended_is_not_read(node: SimNode) -> None:
    same, other, none = planned(node), planned(node), planned(node)
    other.services[0].replicas_max = 9
    del none.services[:]
    assert read(node, local_change(node), plan=same) == ["scale=3"]
    assert read(node, local_change(node), plan=other) == []
    assert read(node, local_change(node), plan=none) == []


def test_one_that_the_plan_does_not_allow_is_not_read(node: SimNode) -> None:
    less, shorter = planned(node), planned(node)
    less.autonomy.CopyFrom(Autonomy(allow=["pin"], until_ms=HOUR))
    shorter.autonomy.until_ms = HOUR - 1
    assert read(node, local_change(node), plan=less) == []
    assert read(node, local_change(node), plan=shorter) == []


def test_one_of_a_state_that_the_master_never_made_is_not_read(node: SimNode) -> None:
    counter = node.core.in_force.counter
    assert read(node, local_change(node, base_counter=counter + 1)) == []


def test_what_no_operator_signed_or_is_too_large_is_not_read(node: SimNode) -> None:
    assert read(node, b"lies", bytes(2_000), local_change(node, by="master")) == []
