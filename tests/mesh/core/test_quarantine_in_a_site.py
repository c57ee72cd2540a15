"""A service that crashes on one node of a simulated site: another runs it, if there is one."""

import pytest

from mesh.core.messages import RestartAsked
from mesh.core.quarantine import CRASHES_MAX, LASTS_MS
from tests.sim.nodes import SimNode
from tests.sim.runtime import LIVES_MS, LOAD_MS, PAUSE_MS
from tests.sim.site import Site

ROUND_MS = LOAD_MS + LIVES_MS + PAUSE_MS
LONG_MS = (CRASHES_MAX + 1) * ROUND_MS + 5_000
"""Enough to be quarantined, and for another to serve."""


def quarantined(node: SimNode) -> bool:
    return any(replica.quarantined for replica in node.core.register.replicas)


def alarms(node: SimNode) -> dict[str, str]:
    return {a.subject: a.message for a in node.core.register.alarms if a.kind == "CrashLoop"}


def broken(nodes: int) -> tuple[Site, SimNode]:
    """A site that starts with a service that dies on the node which is first for it."""
    trial = Site(nodes).settle(1)
    first = trial.serves()[0]
    site = Site(nodes)
    bad = site.node(first)
    bad.broken = {"1.0.0"}
    site.boot()
    site.world.run(2_000)
    site.publish(replicas=1)
    return site, bad


@pytest.mark.parametrize("nodes", [2, 3], ids=["2 nodes", "3 nodes"])
def test_another_node_serves_what_crashes_here(nodes: int) -> None:
    site, bad = broken(nodes)
    site.world.run(LONG_MS)
    assert quarantined(bad)
    assert site.serving() == 1
    assert not bad.serving("faces")
    assert "any other node comes first" in alarms(bad)["faces"]
    site.world.run(60_000)
    assert not bad.runs, "it is not tried here any more"
    assert site.serving() == 1


def test_one_node_goes_on_trying() -> None:
    site, bad = broken(1)
    site.world.run(LONG_MS)
    assert quarantined(bad)
    assert alarms(bad)
    (before,) = (status.restarts for status in bad.runs.values())
    site.world.run(2 * ROUND_MS)
    (after,) = (status.restarts for status in bad.runs.values())
    assert after > before


def test_it_comes_back_when_its_time_is_over_and_goes_again_if_it_crashes_on() -> None:
    site, bad = broken(2)
    site.world.run(LONG_MS)
    assert not bad.serving("faces")
    bad.broken = set()
    site.world.run(LASTS_MS)
    assert not quarantined(bad)
    assert not alarms(bad)
    assert site.serves() == [bad.name]


@pytest.mark.parametrize("end", ["restart", "version", "master"])
def test_a_person_ends_it(end: str) -> None:
    site, bad = broken(2)
    site.world.run(LONG_MS)
    assert quarantined(bad)
    bad.broken = set()
    if end == "restart":
        bad.feed(RestartAsked("faces"))
    elif end == "version":
        site.publish(replicas=1, version="2.0.0")
    else:
        site.publish(replicas=1, restarts=1)
    site.world.run(20_000)
    assert not quarantined(bad)
    assert site.serves() == [bad.name]
    assert not alarms(bad)


def test_what_crashes_everywhere_is_tried_where_it_would_be_without_quarantine() -> None:
    site, bad = broken(3)
    for node in site.nodes:
        node.broken = {"1.0.0"}
    site.world.run(4 * LONG_MS)
    assert all(quarantined(node) for node in site.nodes)
    site.world.run(10_000)
    assert [node.name for node in site.nodes if node.runs] == [bad.name]
