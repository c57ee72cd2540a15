"""Scaling to zero in a simulated site: who sleeps, who wakes whom, without a master or with one."""

import pytest

from mesh.hashing import sha256
from mesh.site.scaling import keeper
from tests.sim.site import Site, face_detector

DOWN_AFTER_MS = 10_000
"""Of the simulated service."""


def asked(site: Site, per_second: int = 0) -> None:
    """Says at each node that so many requests come, and none waits."""
    for node in site.nodes:
        node.asked("faces", 0, per_second)


def awake(nodes: int, soak_ms: int = 0) -> Site:
    """A site in which a service that may sleep has been tried, and is asked for."""
    site = Site(nodes)
    site.boot()
    site.world.run(2_000)
    asked(site, per_second=1)
    site.publish(0, most=2, soak_ms=soak_ms)
    site.world.run_until(lambda: site.serving() == 1, 15_000, "its version is tried once")
    return site


def asleep(nodes: int) -> Site:
    """The same, when nobody has asked for long enough, and the WAN is down."""
    site = awake(nodes)
    site.cut_wan()
    site.world.run(2_000 + DOWN_AFTER_MS)
    assert site.serving() == 1, "it is asked for"
    asked(site)
    site.world.run(DOWN_AFTER_MS - 1_000)
    assert site.serving() == 1, "not before its time"
    site.world.run_until(lambda: site.serving() == 0, 10_000, "it sleeps")
    return site


def wake(site: Site, at: int = 0) -> int:
    """A request waits at one node until some node serves; how long it waited (ms)."""
    node = site.nodes[at]
    before = site.world.now_ms
    node.asked("faces", waiting=1)
    site.world.run_until(lambda: site.serving() == 1, 5_000, "it wakes")
    asked(site, per_second=1)
    return site.world.now_ms - before


def journalled(site: Site) -> list[str]:
    """Why the count changed, as the nodes' own journals say."""
    return [
        entry.cause
        for node in site.nodes
        for key, batches in node.disk.logs.items()
        for batch in batches
        for entry in batch.entries
        if key.node == node.name and entry.event == "service.scaled"
    ]


def counts(site: Site) -> set[int]:
    return {
        node.core.share.counts.of(node.core.branch.plan, node.core.membership.liveness.live())[
            "faces"
        ]
        for node in site.nodes
        if node.up
    }


@pytest.mark.parametrize("nodes", [1, 2, 3, 50])
def test_a_service_that_nobody_asks_for_sleeps_and_any_node_wakes_it(nodes: int) -> None:
    site = asleep(nodes)
    starts = sum(len(node.starts) for node in site.nodes)
    for at in range(nodes if nodes < 10 else 1):
        assert wake(site, at) < 2_000
        site.world.run(DOWN_AFTER_MS)
        assert counts(site) == {1}, "all count alike, and the keeper has taken it up"
        assert not any(node.core.register.wanted for node in site.nodes)
        starts += 1
        assert sum(len(node.starts) for node in site.nodes) == starts, "one starts, no more"
        asked(site)
        site.world.run_until(lambda: site.serving() == 0, 30_000, "it sleeps again")
    journal = journalled(site)
    assert "no request at any node for 10000 ms" in journal
    assert any(cause.startswith("a request waits for it at south-") for cause in journal)


def test_a_request_that_gives_up_has_woken_it_all_the_same() -> None:
    site = asleep(3)
    keeping = keeper("faces", [node.name for node in site.nodes])
    node = next(one for one in site.nodes if one.name != keeping)
    node.asked("faces", waiting=1)
    site.world.run(60)
    node.asked("faces")
    site.world.run_until(lambda: site.serving() == 1, 5_000, "it wakes")
    site.world.run(2_000)
    assert counts(site) == {1}


def test_while_it_sleeps_the_nodes_that_would_run_it_keep_its_artifact() -> None:
    site = asleep(4)
    site.world.run(10_000)
    artifact = sha256(face_detector()[0])
    holders = [node for node in site.nodes if artifact in node.core.register.artifacts]
    assert len(holders) >= 2, "the one that would run it, and a spare"
    runs = next(n for n in site.nodes if n.core.placement.spares["faces"][0] == n.name)
    assert runs in holders


def test_each_half_of_a_split_site_wakes_it_for_itself() -> None:
    site = asleep(4)
    for one in ("south-1", "south-2"):
        for other in ("south-3", "south-4"):
            site.world.cut_off(one, other)
    site.world.run(12_000)
    site.node("south-1").asked("faces", waiting=1)
    site.node("south-3").asked("faces", waiting=1)
    for half in (site.nodes[:2], site.nodes[2:]):
        site.world.run_until(
            lambda half=half: sum(n.serving("faces") for n in half) == 1, 5_000, "both halves"
        )


def test_the_death_of_the_only_node_that_serves_puts_nothing_to_sleep() -> None:
    site = awake(3)
    site.cut_wan()
    site.world.run(2_000)
    next(node for node in site.nodes if node.serving("faces")).power_off()
    site.world.run_until(
        lambda: sum(n.serving("faces") for n in site.nodes if n.up) == 1, 10_000, "replaced"
    )


def test_who_cannot_hear_the_only_node_that_serves_puts_nothing_to_sleep() -> None:
    site = awake(4)
    serves = next(node for node in site.nodes if node.serving("faces"))
    keeping = keeper("faces", [node.name for node in site.nodes])
    if serves.name == keeping:  # so that somebody else serves
        serves.hold_back(draining=True)
        site.world.run(5_000)
        serves = next(node for node in site.nodes if node.serving("faces"))
    assert serves.name != keeping
    asked(site)
    site.world.run(3_000)
    site.world.cut_off(keeping, serves.name)
    serves.asked("faces", 0, 50)
    site.world.run(3 * DOWN_AFTER_MS)
    assert site.serving() == 1
    serves.asked("faces", 0)
    site.world.mend(keeping, serves.name)
    site.world.run_until(lambda: site.serving() == 0, 30_000, "its load is heard again")


def test_an_agent_that_starts_anew_puts_nothing_to_sleep() -> None:
    site = awake(1)
    site.world.run(2_000)
    (node,) = site.nodes
    starts = len(node.starts)
    node.restart_agent()
    site.world.run(DOWN_AFTER_MS)
    assert node.serving("faces") == 1
    assert len(node.starts) == starts


def test_a_new_version_is_tried_at_once_while_it_sleeps_and_then_sleeps_again() -> None:
    site = asleep(3)
    site.mend_wan()
    site.world.run(3_000)
    site.publish(0, most=2, version="2.0.0")
    site.world.run_until(
        lambda: any("2.0.0" in v for v in site.versions().values()), 15_000, "it is tried"
    )
    site.world.run_until(lambda: site.serving() == 0, 30_000, "nobody asks: it sleeps again")
    site.world.run(20_000)
    assert site.serving() == 0
    wake(site)
    assert [v for v in site.versions().values() if v] == [["2.0.0"]]


def test_a_bad_version_is_refused_while_it_sleeps_and_the_last_good_one_wakes() -> None:
    site = asleep(3)
    site.mend_wan()
    site.world.run(3_000)
    site.world.faulty["2.0.0"] = "golden"
    site.publish(0, most=2, version="2.0.0")
    site.world.run_until(
        lambda: any(node.tried("2.0.0") for node in site.nodes), 15_000, "it is tried"
    )
    site.world.run(40_000)
    assert site.serving() == 0
    assert sum(node.tried("2.0.0") for node in site.nodes) == 1
    wake(site)
    assert [v for v in site.versions().values() if v] == [["1.0.0"]]


def test_a_service_with_a_min_of_one_never_sleeps() -> None:
    site = Site(2).settle(1)
    asked(site)
    site.world.run(3 * DOWN_AFTER_MS)
    assert site.serving() == 1
    site.nodes[0].asked("faces", waiting=1)
    site.world.run(2_000)
    assert not any(node.core.register.wanted for node in site.nodes)


def test_a_liar_can_keep_a_service_awake_with_one_replica_and_no_more() -> None:
    site = asleep(3)
    site.nodes[0].asked("faces", waiting=1)
    for _ in range(6):
        site.world.run(DOWN_AFTER_MS)
        assert site.serving() == 1
