"""Who is alive, in simulated sites of all sizes: how fast a crash is known, and no false deaths."""

import pytest

from tests.sim.site import Site


def deaths(site: Site) -> list[tuple[str, str]]:
    """(who holds it, of whom) for all that live."""
    return [
        (node.name, dead)
        for node in site.nodes
        if node.up and not node.frozen
        for dead in node.core.membership.liveness.dead()
    ]


def booted(nodes: int, seed: int = 1) -> Site:
    site = Site(nodes=nodes, seed=seed)
    site.boot()
    site.world.run(8_000)
    assert deaths(site) == []
    return site


@pytest.mark.parametrize(
    ("nodes", "crashes", "limit_ms"), [(2, 8, 2_500), (3, 8, 3_000), (5, 6, 3_000), (20, 2, 3_000)]
)
def test_a_crash_is_known_to_all_in_time(nodes: int, crashes: int, limit_ms: int) -> None:
    taken = sorted(_crash_with_broken_links(nodes, seed) for seed in range(1, crashes + 1))
    print(f"{nodes} nodes, process died: {taken[len(taken) // 2]} median, {taken[-1]} ms at most")
    assert taken[-1] <= limit_ms


def _crash_with_broken_links(nodes: int, seed: int) -> int:
    site = booted(nodes, seed)
    victim = site.nodes[seed % nodes]
    victim.power_off()
    return _until_all_know(site, victim.name)


def _until_all_know(site: Site, victim: str) -> int:
    others = [n for n in site.nodes if n.name != victim]
    return site.world.run_until(
        lambda: all(victim in n.core.membership.liveness.dead() for n in others), 20_000, "known"
    )


@pytest.mark.parametrize(("nodes", "cases"), [(2, 6), (3, 6), (5, 6), (20, 2), (50, 1)])
def test_a_frozen_machine_is_known_to_all_within_five_seconds(nodes: int, cases: int) -> None:
    taken = []
    for seed in range(1, cases + 1):
        site = booted(nodes, seed)
        site.nodes[0].freeze(True)
        taken.append(_until_all_know(site, site.nodes[0].name))
    taken.sort()
    print(f"{nodes} nodes, machine frozen: {taken[len(taken) // 2]} median, {taken[-1]} ms at most")
    assert taken[-1] <= 5_500


@pytest.mark.parametrize("nodes", [5, 10])
def test_stalls_and_lost_probes_kill_nobody(nodes: int) -> None:
    site = booted(nodes)
    site.world.probe_loss = 0.05
    shaky = site.nodes[: nodes // 5]
    for _ in range(600 // 5):
        for node in shaky:
            node.freeze(True)
        site.world.run(site.world.random.randint(500, 2_000))
        for node in shaky:
            node.freeze(False)
        assert deaths(site) == []
        site.world.run(3_000)
        assert deaths(site) == []


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_two_that_do_not_reach_each_other_but_a_third_do_not_die(both: bool) -> None:
    site = booted(3)
    one, other, _ = site.nodes
    site.world.cut_off(one.name, other.name, both)
    for _ in range(60):
        site.world.run(1_000)
        assert deaths(site) == []


def test_what_is_swallowed_on_one_link_kills_nobody_while_a_third_sees_both() -> None:
    site = booted(3)
    one, other, _ = site.nodes
    site.world.swallow(one.name, other.name, both=False)
    for _ in range(60):
        site.world.run(1_000)
        assert deaths(site) == []


def test_delays_and_duplicates_kill_nobody() -> None:
    site = booted(5)
    site.world.latency_ms = (1, 400)
    site.world.duplicates = 0.2
    for _ in range(120):
        site.world.run(1_000)
        assert deaths(site) == []


def test_a_site_that_loses_power_agrees_again_when_all_start_at_once() -> None:
    site = booted(5)
    for node in site.nodes:
        node.power_off()
    for node in site.nodes:
        node.boot()
    site.world.run(15_000)
    assert deaths(site) == []
    views = {tuple(n.core.membership.liveness.live()) for n in site.nodes}
    assert views == {tuple(sorted(n.name for n in site.nodes))}


def test_a_node_that_was_away_for_long_is_taken_back_at_once() -> None:
    site = booted(3)
    victim, *others = site.nodes
    victim.power_off()
    site.world.run(600_000)
    victim.boot()
    site.world.run_until(lambda: deaths(site) == [], 3_000, "it is back")
    assert all(victim.name in n.core.membership.liveness.live() for n in others)


@pytest.mark.parametrize(("nodes", "small"), [(3, 1), (5, 2), (12, 5)])
def test_parts_of_a_split_that_hear_of_each_other_over_a_master_stand_still(
    nodes: int, small: int
) -> None:
    site = Site(nodes)
    site.settle()
    part, rest = site.nodes[:small], site.nodes[small:]
    pairs = [(one.name, other.name) for one in part for other in rest]
    for one, other in pairs:
        site.world.cut_off(one, other)
    said = sum(node.core.register.version for node in site.nodes)
    site.world.run(20_000)
    expected = {*pairs, *((other, one) for one, other in pairs)}
    assert set(deaths(site)) == expected
    said = sum(node.core.register.version for node in site.nodes) - said
    assert said <= 30 * nodes, "nobody answers each answer of the other part"
    before = {node.name: node.core.membership.liveness.generation for node in site.nodes}
    site.world.run(30_000)
    assert {n.name: n.core.membership.liveness.generation for n in site.nodes} == before
    for one, other in pairs:
        site.world.mend(one, other)
    site.world.run_until(lambda: not deaths(site), 10_000, "all live again")
