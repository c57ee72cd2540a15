"""What a node can say of a pipeline's lease: who holds it, by which roster, or why nobody does."""

from dataclasses import replace

from mesh.core.grants import JUST_STARTED, Owner
from mesh.core.lease_report import LeaseReport, lease_report
from mesh.site.leases import FREE_MS, LEASE_MS, Earlier, Member
from protos.documents_pb2 import PipelinePlan
from tests.mesh.core.test_leases_in_a_site import DOOR, SOON_MS, owner_of, part, site_with
from tests.sim.nodes import SimNode

UNPLACED = PipelinePlan(name="gate", source="none", exclusive=True)


def report(node: SimNode, plan: PipelinePlan = DOOR) -> LeaseReport:
    return lease_report(node.core, plan, node.clock_ms())


def test_each_node_says_who_holds_it_by_which_roster_and_those_that_granted_it_for_how_long() -> (
    None
):
    site = site_with(3)
    owner = owner_of(site)
    names = sorted(node.name for node in site.nodes)
    for node in site.nodes:
        said = report(node)
        assert said.holder == owner.name
        assert set(said.acknowledged) <= set(names)
        assert said.acknowledgements == len(said.acknowledged) >= 2
        assert (said.roster, said.roster_state) == (3, node.core.leases.rosters.since)
        assert said.earlier == ()
        assert said.why_nobody == said.here == ""
        assert said.left_ms is not None
        assert 0 < said.left_ms <= LEASE_MS


def test_it_names_the_earlier_rosters_whose_quorum_is_needed_too() -> None:
    owner = owner_of(site_with(3))
    owner.core.leases.rosters.earlier = (Earlier((Member("x", b""), Member("y", b"")), 7),)
    assert report(owner).earlier == ((2, 7),)


def test_who_granted_nothing_cannot_tell_how_long_it_lasts() -> None:
    site = site_with(3)
    owner = owner_of(site)
    other = next(node for node in site.nodes if node is not owner)
    other.core.leases.grants.release("door", grant_of(other), 1 << 40)
    assert report(other).holder == owner.name
    assert report(other).left_ms is None


def grant_of(node: SimNode) -> Owner:
    given = node.core.leases.grants.holder("door", node.clock_ms())
    assert given is not None
    return given.owner


def test_without_a_quorum_the_node_that_asks_says_who_is_missing() -> None:
    site = site_with(3)
    site.cut_wan()
    owner = owner_of(site)
    part(site, [owner.name])
    site.world.run(SOON_MS)
    said = report(owner)
    assert said.holder == ""
    assert said.why_nobody.startswith("1 of the 3 nodes of the roster acknowledge")
    assert "meshctl node revoke" in said.why_nobody


def test_after_its_holder_died_a_node_says_for_how_long_it_is_bound_to_it() -> None:
    site = site_with(3)
    owner = owner_of(site)
    owner.power_off()
    others = [node for node in site.nodes if node is not owner]
    site.world.run_until(
        lambda: all(report(node).holder == "" for node in others), FREE_MS, "it is known to be dead"
    )
    for node in others:
        assert report(node).why_nobody.startswith(f"{node.name} granted it to {owner.name}, and")


def test_who_asks_says_how_far_it_is_and_the_others_whom_to_ask() -> None:
    site = site_with(3)
    for node in site.nodes:
        node.power_off()
    for node in site.nodes:
        node.boot()
    site.world.run(FREE_MS // 2)
    whys = {node.name: report(node).why_nobody for node in site.nodes}
    (asks,) = [name for name, why in whys.items() if why.startswith(f"{name} asks")]
    assert whys.pop(asks) == (
        f"{asks} asks for it: 0 of the 3 nodes of the roster acknowledge so far"
    )
    assert set(whys.values()) == {f"{asks} is to ask for it: see what it says"}
    assert {report(node).here for node in site.nodes} == {JUST_STARTED}


def test_a_pipeline_that_no_node_may_read_is_nobodys() -> None:
    site = site_with(1)
    (node,) = site.nodes
    assert report(node, UNPLACED).why_nobody == "no node that this one is linked with can run it"


def test_a_node_that_takes_no_part_says_why() -> None:
    site = site_with(1)
    (node,) = site.nodes
    assert report(node).here == ""
    node.core.facts = replace(node.core.facts, moved="another product")
    assert "another product" in report(node).here
