"""Scaling in a simulated site: by queueing delay, with hysteresis, whoever keeps the count."""

import pytest

from mesh.site.scaling import keeper
from tests.sim.site import Site


def busy(site: Site, delay_ms: int) -> None:
    for node in site.nodes:
        if node.up:
            node.under_load(delay_ms)


def settled(nodes: int = 4) -> Site:
    site = Site(nodes)
    site.boot()
    site.world.run(2_000)
    site.publish(1, most=3)
    site.world.run_until(lambda: site.serving() == 1, 15_000, "one replica serves")
    return site


def test_more_replicas_under_load_and_fewer_after_it_within_the_plans_bounds() -> None:
    site = settled()
    busy(site, 100)
    site.world.run_until(lambda: site.serving() == 2, 12_000, "a second replica")
    busy(site, 100)
    site.world.run_until(lambda: site.serving() == 3, 12_000, "a third replica")
    busy(site, 100)
    site.world.run(20_000)
    assert site.serving() == 3, "never more than the plan's max"
    busy(site, 10)
    site.world.run(30_000)
    assert site.serving() == 3, "between low and high nothing changes"
    busy(site, 0)
    site.world.run_until(lambda: site.serving() == 1, 60_000, "back to the plan's min")
    site.world.run(20_000)
    assert site.serving() == 1


def test_a_new_keeper_of_the_count_adopts_it_and_steps_down_by_hysteresis() -> None:
    site = settled()
    for replicas in (2, 3):
        busy(site, 100)
        site.world.run_until(lambda n=replicas: site.serving() == n, 12_000, "one more")
    site.cut_wan()
    busy(site, 10)
    live = [node.name for node in site.nodes if node.up]
    site.node(keeper("faces", live) or "").power_off()
    fewest = 3
    for _ in range(400):
        site.world.run(50)
        busy(site, 10)
        fewest = min(fewest, site.serving())
    assert fewest >= 2, "one replica may have died with its node, no other went"
    assert site.serving() == 3
    counts = {
        n.core.share.counts.of(n.core.branch.plan, n.core.membership.liveness.live())["faces"]
        for n in site.nodes
        if n.up
    }
    assert counts == {3}


def test_one_node_that_lies_about_its_load_moves_nothing() -> None:
    site = settled()
    site.publish(3, most=4)
    site.world.run_until(lambda: site.serving() == 3, 15_000, "three replicas")
    liar = next(node for node in site.nodes if node.serving("faces"))
    for _ in range(20):
        liar.under_load(1_000_000)
        site.world.run(1_000)
    assert site.serving() == 3


def test_a_keeper_whose_agent_starts_anew_takes_nothing_away() -> None:
    site = settled()
    for replicas in (2, 3):
        busy(site, 100)
        site.world.run_until(lambda n=replicas: site.serving() == n, 12_000, "one more")
    busy(site, 10)
    site.node(keeper("faces", [node.name for node in site.nodes]) or "").restart_agent()
    fewest = 3
    for _ in range(200):
        site.world.run(50)
        fewest = min(fewest, site.serving())
    assert fewest == 3


@pytest.mark.parametrize("nodes", [3, 4, 12])
def test_a_keeper_without_a_link_with_the_node_that_is_overloaded_hears_of_it(nodes: int) -> None:
    site = settled(nodes)
    keeping = keeper("faces", [node.name for node in site.nodes]) or ""
    site.node(keeping).hold_back(draining=True)  # so that somebody else serves
    site.world.run(15_000)
    (busiest,) = site.serves()
    site.world.cut_off(keeping, busiest)
    site.world.run(8_000)
    site.node(busiest).under_load(200)
    site.world.run_until(lambda: len(site.serves()) == 2, 15_000, "a second replica")
    for name in site.serves():
        site.node(name).under_load(0)
    site.world.run_until(lambda: len(site.serves()) == 1, 30_000, "and one less after it")


def test_a_keeper_that_hears_no_more_of_the_node_that_serves_leaves_the_count_as_it_is() -> None:
    site = settled(5)
    keeping = keeper("faces", [node.name for node in site.nodes]) or ""
    site.node(keeping).hold_back(draining=True)  # so that somebody else serves
    site.world.run(15_000)
    (busiest,) = site.serves()
    site.node(busiest).under_load(200)
    site.world.run_until(lambda: len(site.serves()) == 2, 15_000, "a second replica")
    # Now the keeper and the node that is busy share no neighbour, and nobody asks for anything.
    others = [node.name for node in site.nodes if node.name not in (keeping, busiest)]
    last = next(name for name in others if name not in site.serves())
    for name in {keeping, *others} - {last}:
        site.world.cut_off(name, busiest)
    site.world.cut_off(keeping, last)
    for node in site.nodes:
        node.under_load(0)
    site.world.run(60_000)
    assert scaled(site, 60_000) == []


def scaled(site: Site, for_ms: int) -> list[int]:
    """The counts that are said while time passes, beyond those that are said now."""

    def said() -> list[int]:
        return sorted(c.replicas for n in site.nodes for c in n.core.share.counts.kept())

    before, found = said(), []
    for _ in range(for_ms // 500):
        site.world.run(500)
        if said() != before:
            before = said()
            found += before
    return found
