"""Boxes that are admitted while no master is reached, and how fast who is replaced or revoked is
shut out of a site, in whole sites."""

import os

import pytest

from mesh.hashing import sha256
from tests.sim import identities
from tests.sim.boxes import FIRST, SimBox, admit, delegation
from tests.sim.nodes import SimNode
from tests.sim.site import Site

MANY = int(os.environ.get("NODES", "20"))
SHUT_OUT_MS = 5_000
"""From when one node knows of it to when the whole site goes by it."""


def delegated(nodes: int) -> Site:
    """A site at work, which knows who may admit boxes, and no master any more."""
    site = Site(nodes)
    site.delegations = [delegation()]
    site.settle()
    site.cut_wan()
    return site


def start(site: Site, node: str, number: int = FIRST, replaces: str = "", keys: str = "") -> SimBox:
    """Admits a box, by what the first node that is up knows, and starts it."""
    up = next(one for one in site.nodes if one.up)
    gone = site.node(replaces).me.tls_key if replaces else b""
    box = SimBox(site.world, admit(node, number, gone, keys), up)
    site.nodes.append(box)
    site.world.cut_off(box.name, identities.MASTER)
    box.boot()
    return box


def live(node: SimNode) -> list[str]:
    return node.core.membership.liveness.live()


def refused_by(site: Site, tls_key: bytes) -> list[str]:
    """The nodes that refuse this key, and have no link with whoever has it."""
    return [
        node.name
        for node in site.nodes
        if node.up
        and node.me.tls_key != tls_key
        and node.core.revoked.is_revoked(tls_key) is not None
        and all(link.contact.tls_key != tls_key for link in node.core.peer.links.values())
    ]


def test_a_box_that_is_admitted_in_an_outage_gets_plan_model_and_work() -> None:
    site = delegated(3)
    lost = next(node for node in site.nodes if node.serving("faces"))
    lost.power_off()
    site.world.run(3_000)
    box = start(site, "south-9", replaces=lost.name)
    site.world.run_until(
        lambda: all("south-9" in live(node) for node in site.nodes if node.up), 10_000, "it lives"
    )
    wanted = {sha256(site.envelope)}
    site.world.run_until(lambda: wanted <= box.disk.complete, 20_000, "it has the model")
    up = next(node for node in site.nodes if node.up)
    assert box.core.branch.plan == up.core.branch.plan
    for node in site.nodes:
        if node.up and node is not box and node.serving("faces"):
            node.power_off()
    site.world.run_until(lambda: box.serving("faces") > 0, 20_000, "it serves")


@pytest.mark.parametrize("nodes", [5, MANY])
def test_who_is_replaced_or_revoked_is_shut_out_of_the_site_once_one_node_knows(nodes: int) -> None:
    site = delegated(nodes)
    replaced, revoked = site.node("south-2"), site.node("south-4")
    start(site, "south-99", replaces="south-2")
    wait_shut_out(site, replaced, {replaced.name})
    site.publish(replicas=2, revoked={"south-4": "stolen"})
    knows = site.node("south-3")
    site.world.mend("south-3", identities.MASTER)  # one node alone reaches the master
    key = revoked.me.tls_key
    site.world.run_until(lambda: key in knows.core.revoked.tls_keys, 60_000, "one node knows")
    gone = {replaced.name, revoked.name}
    wait_shut_out(site, revoked, gone)
    for node in site.nodes[4:8]:
        node.restart_agent()
        assert {key, replaced.me.tls_key} <= node.core.revoked.tls_keys
    site.world.run(1_000)  # they dial again and again
    wait_shut_out(site, revoked, gone)
    wait_shut_out(site, replaced, gone)


def wait_shut_out(site: Site, thief: SimNode, gone: set[str]) -> None:
    """Until nobody has a link with it, or counts it in, but those that are `gone` themselves."""
    names = {node.name for node in site.nodes} - gone
    site.world.run_until(
        lambda: names <= set(refused_by(site, thief.me.tls_key)), SHUT_OUT_MS, "it is shut out"
    )
    assert all(thief.name not in live(site.node(name)) for name in names)


def test_who_was_first_with_a_number_stays_and_the_other_is_an_alarm_through_restarts() -> None:
    site = delegated(3)
    first = start(site, "south-8")
    site.world.run(5_000)
    second = start(site, "south-9", keys="copied")
    site.world.run(5_000)
    south_1 = site.node("south-1")
    assert "south-8" in live(south_1)
    assert "south-9" not in live(south_1)
    assert "Admission" in {alarm.kind for alarm in south_1.core.alarms.states()}
    first.power_off()
    for node in site.nodes[:3]:
        node.restart_agent()
    site.world.run(10_000)
    assert "south-9" not in live(south_1)
    assert second.core.admissions.tls_keys != south_1.core.admissions.tls_keys


def test_a_node_that_was_away_learns_of_boxes_that_were_replaced_in_their_turn() -> None:
    site = delegated(4)
    away = site.node("south-4")
    away.power_off()
    first = start(site, "south-8", FIRST, replaces="south-3")
    site.world.run(5_000)
    first.power_off()
    start(site, "south-9", FIRST + 1, replaces="south-8")
    site.world.run(5_000)
    away.boot()
    gone = {site.node("south-3").me.tls_key, first.me.tls_key}
    site.world.run_until(lambda: gone <= away.core.revoked.tls_keys, 15_000, "it shuts out both")
    assert "south-9" in live(away)


def test_a_dead_box_is_missed_though_no_roster_names_it() -> None:
    site = delegated(3)
    box = start(site, "south-9")
    site.world.run(5_000)
    box.power_off()
    site.world.run(10_000)
    offline = [a.subject for a in site.node("south-1").core.alarms.states() if a.kind == "Offline"]
    assert offline == ["south-9"]
