"""A rollout that turns, in a simulated site: back after it had passed somewhere, restarts, undo."""

import pytest

from mesh.core.turns import TURN_STANDS_MS
from tests.mesh.core.rolling import SOAK_MS, settled, watch
from tests.sim.runtime import LOAD_MS
from tests.sim.site import Site


def versions(site: Site) -> list[str]:
    return sorted(version for found in site.versions().values() for version in found)


def test_what_had_passed_on_one_node_goes_back_when_two_others_refuse_it() -> None:
    site = settled(4, 3)
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run_until(lambda: "2.0.0" in versions(site), 10_000, "one node serves it")
    site.world.faulty["2.0.0"] = "golden"  # on the other machines
    fewest, _ = watch(site, 30_000)
    assert fewest >= 3
    assert versions(site) == ["1.0.0"] * 3
    assert sum(node.tried("2.0.0") for node in site.nodes) == 3
    site.publish(3, version="3.0.0", soak_ms=SOAK_MS)
    fewest, most_mixed = watch(site, 30_000)
    assert (fewest >= 3, most_mixed) == (True, 1)
    assert versions(site) == ["3.0.0"] * 3


def test_a_restart_goes_through_the_site_node_by_node_and_no_replica_is_missed() -> None:
    site = settled(3, 3)
    before = [len(node.starts) for node in site.nodes]
    site.publish(3, restarts=1, soak_ms=SOAK_MS)
    fewest, most_mixed = watch(site, 20_000)
    assert fewest >= 3
    assert most_mixed <= 1
    assert [len(node.starts) for node in site.nodes] == [count + 1 for count in before]


def test_a_plan_that_goes_back_by_itself_changes_nothing_where_the_new_one_had_not_come() -> None:
    site = settled(3, 3)
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(1_500)
    site.publish(3, version="1.0.0", soak_ms=SOAK_MS)
    fewest, _ = watch(site, 15_000)
    assert fewest >= 3
    assert versions(site) == ["1.0.0"] * 3
    assert sum(len(node.starts) for node in site.nodes) <= 4, "one node had begun to try it"


@pytest.mark.parametrize("every_ms", [500, 3_000, 7_000])
@pytest.mark.parametrize("fault", ["", "golden"])
def test_versions_applied_in_turn_and_quickly_end_with_the_last(every_ms: int, fault: str) -> None:
    site = settled(3, 3)
    site.world.faulty["2.0.0"] = fault
    before = sum(len(node.starts) for node in site.nodes)
    fewest, turns = 3, 8
    for number in range(1, turns + 1):
        site.publish(3, version=f"{1 + number % 2}.0.0", soak_ms=SOAK_MS)
        fewest = min(fewest, watch(site, every_ms)[0])
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    fewest = min(fewest, watch(site, 40_000)[0])
    assert fewest >= 3, "no replica is missed meanwhile"
    assert versions(site) == ["1.0.0" if fault else "2.0.0"] * 3
    starts = sum(len(node.starts) for node in site.nodes) - before
    if fault:
        assert sum(node.tried("2.0.0") for node in site.nodes) == 2, "what was refused stays so"
        assert starts <= 2 + turns // 2, "a try that was broken off, at most one each time"
    else:
        at_most = every_ms // (SOAK_MS + LOAD_MS + TURN_STANDS_MS) + 1  # nodes in the time of one
        assert starts <= turns * at_most + 3, "one node at a time changes, each once"
