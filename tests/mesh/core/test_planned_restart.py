"""An agent that restarts as planned: its neighbours wait for it, and not for ever."""

from mesh.core.messages import NeighbourSilent
from mesh.exchange.membership import AWAY_MS
from mesh.registers.watched import Verdict
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def leaver(site: Site) -> SimNode:
    """A node on which a replica serves, which is the gateway if that one runs any."""
    return next(node for node in (site.gateway(), *site.nodes) if node.serving("faces"))


def starts(site: Site) -> int:
    return sum(len(node.starts) for node in site.nodes)


def others_of(site: Site, node: SimNode) -> list[SimNode]:
    return [one for one in site.nodes if one is not node]


def test_a_planned_restart_starts_nothing_elsewhere_and_routes_stay() -> None:
    site = Site(3).settle(2)
    node, before = leaver(site), starts(site)
    site.world.run(3_000)
    node.leave()
    for _ in range(200):
        site.world.run(100)
        for other in others_of(site, node):
            assert other.core.membership.liveness.is_alive(node.name)
    node.start_agent()
    site.world.run(5_000)
    assert starts(site) == before
    assert site.serving() == 2
    assert all(one.core.membership.away(site.world.now_ms) == {} for one in site.nodes)


def test_an_agent_that_stays_away_is_waited_for_so_long_and_no_longer() -> None:
    site = Site(3).settle(2)
    node, before = leaver(site), starts(site)
    node.leave()
    site.world.run(AWAY_MS - 1_000)
    assert starts(site) == before
    site.world.run_until(lambda: starts(site) > before, 8_000, "its work elsewhere")


def test_a_machine_that_is_switched_off_is_not_waited_for() -> None:
    site = Site(3).settle(2)
    node, before = leaver(site), starts(site)
    node.leave()
    node.runs = {}
    site.world.run(2_000)
    for other in others_of(site, node):
        assert other.core.membership.away(site.world.now_ms) == {node.name: f"{node.name}:7412"}
        other.feed(NeighbourSilent(node.name))
    site.world.run_until(lambda: starts(site) > before, 6_000, "its work elsewhere")
    for other in others_of(site, node):
        assert other.core.membership.liveness.verdict(node.name) is Verdict.DEAD


def test_one_that_dies_after_it_came_back_is_not_waited_for() -> None:
    site = Site(3).settle(2)
    node = leaver(site)
    node.leave()
    site.world.run(2_000)
    node.start_agent()
    site.world.run(4_000)
    before = starts(site)
    node.power_off()
    site.world.run_until(lambda: starts(site) > before, 6_000, "its work elsewhere")


def test_the_gateway_hands_over_before_it_goes() -> None:
    site = Site(3).settle(2)
    gateway = site.gateway()
    gateway.leave()
    site.world.run(1_000)
    assert site.gateway() is not gateway


def test_one_who_did_not_hear_of_it_does_not_outvote_those_who_did() -> None:
    site = Site(4).settle(2)
    node = leaver(site)
    deaf = others_of(site, node)[0]
    for other in site.nodes:
        if other is not deaf:
            site.world.cut_off(deaf.name, other.name)
    node.leave()
    for other in site.nodes:
        if other is not deaf:
            site.world.mend(deaf.name, other.name)
    deaf.core.membership.liveness.goes_away(node.name, None)
    site.world.run(10_000)
    for other in others_of(site, node)[1:]:
        assert other.core.membership.liveness.is_alive(node.name)


def test_who_is_not_known_does_not_go_away() -> None:
    site = Site(1).settle(1)
    liveness = site.nodes[0].core.membership.liveness
    liveness.goes_away("nobody", 5)
    assert liveness.away(0) == []
