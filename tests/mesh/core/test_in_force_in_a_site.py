"""A simulated site that refuses what a state says of it, and then starts anew: whole, in parts, at
any moment. What it went by before is in force until a good state comes."""

from typing import Any

import pytest

from mesh.core.in_force import IN_FORCE
from protos.documents_pb2 import SiteBranch
from tests.sim import identities
from tests.sim.boxes import SimBox, admit, delegation
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def publish_bad(site: Site) -> None:
    """Signs a state whose branch of the site is another's."""
    site.master.publish({"site/south": SiteBranch(site="north").SerializeToString()})


def start_anew_alone(site: Site) -> None:
    """A power cut of the whole site, with the WAN down."""
    for node in site.nodes:
        node.power_off()
    site.cut_wan()
    site.world.run(1_000)
    site.boot()


def counters(node: SimNode) -> tuple[int, int]:
    """Of the state that the node applied, and of the one that it goes by."""
    register = node.core.register
    return register.applied_counter, register.in_force_counter


def test_after_a_power_cut_it_serves_on_and_who_is_revoked_stays_out() -> None:
    site = Site(4).settle(2)
    gone = site.nodes[3]
    site.publish(replicas=2, revoked={gone.name: "stolen"})
    site.world.run(10_000)
    publish_bad(site)
    site.world.run(5_000)
    start_anew_alone(site)
    site.world.run(15_000)
    assert sum(node.serving("faces") for node in site.nodes[:3]) == 2
    assert not [pair for pair in site.world.linked if gone.name in pair]
    for node in site.nodes[:3]:
        assert counters(node) == (3, 2)
        assert "RefusedState" in {alarm.kind for alarm in node.core.alarms.states()}
        assert node.core.revoked.is_revoked(gone.contact.tls_key) == "stolen"


def test_a_good_state_ends_it() -> None:
    site = Site(2).settle(1)
    publish_bad(site)
    site.world.run(5_000)
    for node in site.nodes:
        node.restart_agent()
    site.world.run(2_000)
    site.publish(replicas=2)
    site.world.run(10_000)
    assert site.serving() == 2
    assert [counters(node) for node in site.nodes] == [(3, 3)] * 2
    start_anew_alone(site)
    site.world.run(5_000)
    assert [counters(node) for node in site.nodes] == [(3, 3)] * 2


def test_a_box_that_is_admitted_meanwhile_goes_by_the_state_before_too_and_keeps_it() -> None:
    site = Site(3)
    site.delegations = [delegation()]
    site.settle()
    publish_bad(site)
    site.world.run(5_000)
    site.cut_wan()
    box = SimBox(site.world, admit("south-9"), site.nodes[0])
    site.nodes.append(box)
    site.world.cut_off(box.name, identities.MASTER)
    box.boot()
    site.world.run(10_000)
    assert counters(box) == (2, 1)
    start_anew_alone(site)
    site.world.run(5_000)
    assert counters(box) == (2, 1)
    assert box.core.branch.plan == site.nodes[0].core.branch.plan


def test_what_is_quarantined_stays_so() -> None:
    site = Site(3).settle(1)
    node = next(one for one in site.nodes if one.serving("faces"))
    node.broken.add("1.0.0")
    node.lose_runtime()
    site.world.run_until(lambda: bool(node.core.quarantine.subjects), 90_000, "quarantined")
    site.world.run(12_000)
    publish_bad(site)
    site.world.run(5_000)
    node.restart_agent()
    site.world.run(5_000)
    assert node.core.quarantine.subjects


def test_where_no_plan_is_known_a_quarantine_stays_too() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    node.broken.add("1.0.0")
    node.lose_runtime()
    site.world.run_until(lambda: bool(node.core.quarantine.subjects), 90_000, "quarantined")
    site.world.run(12_000)
    site.cut_wan()
    for document in ("state-applied", "branches", IN_FORCE):
        del node.disk.documents[document]
    node.restart_agent()
    site.world.run(5_000)
    assert not node.core.branch.site
    assert node.core.quarantine.subjects


def away_for_a_revocation() -> tuple[Site, SimNode, SimNode]:
    """A node that is off while another is revoked, and that is back when the newest state is one
    that its site refuses, with the WAN down; and the one that is revoked."""
    site = Site(4).settle(2)
    away, gone = site.nodes[2:]
    away.power_off()
    site.publish(replicas=2, restarts=1, revoked={gone.name: "stolen"})
    site.world.run(10_000)
    publish_bad(site)
    site.world.run(5_000)
    site.cut_wan()
    away.boot()
    return site, away, gone


def test_who_was_away_goes_by_the_state_that_its_neighbours_go_by_and_keeps_it() -> None:
    site, away, gone = away_for_a_revocation()
    site.world.run(5_000)
    assert counters(away) == (3, 2)
    assert "RefusedState" in {alarm.kind for alarm in away.core.alarms.states()}
    assert away.core.revoked.is_revoked(gone.contact.tls_key) == "stolen"
    assert not [pair for pair in site.world.linked if gone.name in pair]
    start_anew_alone(site)
    site.world.run(5_000)
    assert counters(away) == (3, 2)


def test_what_was_taken_over_from_a_neighbour_stays_in_force_over_a_start_alone() -> None:
    site = Site(4).settle(2)
    away = site.nodes[2]
    away.power_off()
    site.publish(replicas=2, restarts=1)
    site.world.run(8_000)
    site.master.publish({"site/south": b"x"}, reader=99)
    site.world.run(5_000)
    site.cut_wan()
    away.boot()
    site.world.run(5_000)
    assert counters(away) == (1, 2), "the branches that it applied are of an earlier one"
    for node in site.nodes:
        node.power_off()
    away.boot()
    site.world.run(3_000)
    assert counters(away) == (1, 2)


def test_a_node_that_is_enrolled_while_the_newest_state_is_refused_goes_by_the_one_before() -> None:
    site = Site(2).settle(1)
    publish_bad(site)
    site.world.run(5_000)
    new = SimNode(site.world, "south", "south-9")
    site.nodes.append(new)
    new.boot()
    site.world.run(5_000)
    assert counters(new) == (2, 1)
    assert new.core.branch.plan == site.nodes[0].core.branch.plan
    refused = [one for one in new.core.alarms.states() if one.kind == "RefusedState"]
    assert [one.message.endswith("the last good state stays in force") for one in refused] == [True]
    site.publish(replicas=1, restarts=1)
    site.world.run(5_000)
    assert counters(new) == (3, 3)
    assert "RefusedState" not in {one.kind for one in new.core.alarms.states()}


class Losing(SimNode):
    """Of what it writes from now on, only so many documents reach its disk: all that a power cut
    at that moment leaves."""

    left: int | None = None

    def do_SaveDocument(self, i: Any) -> None:  # noqa: N802
        if self.left == 0:
            return
        self.left = None if self.left is None else self.left - 1
        super().do_SaveDocument(i)


@pytest.mark.parametrize("writes", range(12))
def test_power_may_go_before_any_document_of_a_good_state_and_of_the_bad_one_after_it(
    writes: int,
) -> None:
    site = Site(1, kind=Losing).settle(1)
    (node,) = site.nodes
    assert isinstance(node, Losing)
    node.left = writes
    site.publish(replicas=1, restarts=1)
    site.world.run(1_000)
    publish_bad(site)
    site.world.run(3_000)
    assert counters(node) == (3, 2)
    node.left = None
    start_anew_alone(site)
    site.world.run(5_000)
    applied, goes_by = counters(node)
    assert (applied, goes_by) in {(1, 1), (2, 2), (3, 2)}
    site.mend_wan()
    site.world.run(10_000)
    start_anew_alone(site)
    site.world.run(5_000)
    assert counters(node) == (3, goes_by)
    assert site.serving() == 1
