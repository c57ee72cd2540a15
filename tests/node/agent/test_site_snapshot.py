"""What a node gives to a box of its site, also where it refuses what the newest state says."""

import pytest

from mesh.core.in_force import IN_FORCE
from mesh.heads.snapshot import open_snapshot
from node.admin.backend import NotFound
from node.agent.site_snapshot import site_snapshot
from protos.documents_pb2 import KeptInForce, SiteBranch
from tests.sim.site import Site

MASTERS = ["master-1@10.0.0.1:7400"]


def refusing() -> Site:
    """A site of one node, which goes by state 1 and refuses what state 2 says."""
    site = Site(1).settle(1)
    site.master.publish({"site/south": SiteBranch(site="north").SerializeToString()})
    site.world.run(3_000)
    return site


def test_what_a_box_begins_with_is_what_is_in_force_and_proved() -> None:
    site = Site(2).settle(1)
    core = site.nodes[0].core
    told = site_snapshot(core, "south", MASTERS)
    known = open_snapshot(told, "south")
    assert (known.head.counter, known.branch) == (1, core.branch)
    assert list(told.masters) == MASTERS
    assert list(told.neighbours) == [f"{node.name}@{node.name}:7400" for node in site.nodes]


@pytest.mark.parametrize("anew", [False, True])
def test_where_a_state_is_refused_it_is_the_one_before_also_after_a_start(anew: bool) -> None:
    site = refusing()
    (node,) = site.nodes
    if anew:
        node.restart_agent()
    known = open_snapshot(site_snapshot(node.core, "south", MASTERS), "south")
    assert (known.head.counter, known.branch) == (1, node.core.branch)


def test_what_a_release_before_kept_is_not_proved_and_given_to_nobody() -> None:
    site = refusing()
    (node,) = site.nodes
    kept = KeptInForce.FromString(node.disk.documents[IN_FORCE])
    for name in ("state", "branches", "released"):
        kept.ClearField(name)
    node.power_off()
    node.disk.documents[IN_FORCE] = kept.SerializeToString()
    node.boot()
    assert node.core.in_force.counter == 1
    with pytest.raises(NotFound, match="ask another one"):
        site_snapshot(node.core, "south", MASTERS)


def test_of_another_site_or_of_no_state_there_is_nothing() -> None:
    site = Site(1)
    site.boot()
    for name in ("north", "south"):
        with pytest.raises(NotFound):
            site_snapshot(site.nodes[0].core, name, MASTERS)
