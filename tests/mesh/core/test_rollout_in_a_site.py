"""Rollouts in a simulated site: node by node, and a bad version is tried on two nodes at most."""

import pytest

from protos.documents_pb2 import Phase
from tests.mesh.core.rolling import SOAK_MS, settled, watch
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def serving_versions(site: Site) -> list[str]:
    return sorted(version for found in site.versions().values() for version in found)


@pytest.mark.parametrize("nodes", [1, 2, 3, 5], ids=lambda n: f"{n} nodes")
def test_a_good_version_replaces_the_old_one_node_by_node(nodes: int) -> None:
    replicas = min(nodes, 3)
    site = settled(nodes, replicas)
    site.publish(replicas, version="2.0.0", soak_ms=SOAK_MS)
    fewest, most_mixed = watch(site, 30_000)
    assert fewest >= replicas
    assert most_mixed <= 1, "no two nodes change at once"
    versions = [v for found in site.versions().values() for v in found]
    assert versions == ["2.0.0"] * replicas


def trying(site: Site) -> int:
    """Nodes on which the second version loads, or has not soaked."""
    return sum(
        any(
            s.state.model_version == "2.0.0"
            and (
                s.state.phase == Phase.LOADING
                or (s.state.phase == Phase.SERVING and not s.state.soaked)
            )
            for s in node.runs.values()
        )
        for node in site.nodes
    )


@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize("latency_ms", [(20, 80), (100, 150), (100, 400)])
@pytest.mark.parametrize("fault", ["", "golden"])
def test_one_node_at_a_time_however_late_they_hear_of_each_other(
    seed: int, latency_ms: tuple[int, int], fault: str
) -> None:
    site = settled(5, 3, seed)
    site.world.latency_ms = latency_ms
    site.world.faulty["2.0.0"] = fault
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    most = 0
    for _ in range(800):
        site.world.run(25)
        most = max(most, trying(site))
    assert most == 1
    versions = [v for found in site.versions().values() for v in found]
    assert versions == ["1.0.0" if fault else "2.0.0"] * 3


@pytest.mark.parametrize("fault", ["golden", "crash"])
def test_a_bad_version_is_tried_on_two_nodes_and_refused_by_the_site(fault: str) -> None:
    site = settled(5, 4)
    site.world.faulty["2.0.0"] = fault
    site.publish(4, version="2.0.0", soak_ms=SOAK_MS)
    fewest, _ = watch(site, 40_000)
    assert fewest >= 4
    assert sum(node.tried("2.0.0") for node in site.nodes) == 2
    assert [v for found in site.versions().values() for v in found] == ["1.0.0"] * 4
    alarms = {a.kind for n in site.nodes for a in n.core.register.alarms}
    assert "Refused" in alarms


def test_a_bad_version_during_an_outage_and_a_node_that_was_off_meanwhile() -> None:
    site = settled(3, 3)
    site.world.faulty["2.0.0"] = "golden"
    off = site.nodes[0]
    off.power_off()
    site.world.run(5_000)
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(1_000)
    site.cut_wan()
    site.world.run(30_000)
    off.boot()
    site.world.run(20_000)
    assert sum(node.tried("2.0.0") for node in site.nodes) == 2
    assert not off.tried("2.0.0")
    assert [v for found in site.versions().values() for v in found] == ["1.0.0"] * 3


def test_a_refusal_survives_restarts_and_a_newer_plan_overrules_it() -> None:
    site = settled(3, 2)
    site.world.faulty["2.0.0"] = "golden"
    site.publish(2, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(20_000)
    for node in site.nodes:
        node.power_off()
    site.world.run(1_000)
    before = {node.name: len(node.tried_versions) for node in site.nodes}
    for node in site.nodes:
        node.tried_versions.clear()
        node.boot()
    site.world.run_until(lambda: site.serving() == 2, 10_000, "the last good version")
    site.world.run(10_000)
    assert not any(node.tried("2.0.0") for node in site.nodes), before
    site.publish(2, version="3.0.0", soak_ms=SOAK_MS)
    site.world.run(30_000)
    assert sorted(v for found in site.versions().values() for v in found) == ["3.0.0"] * 2


def test_a_node_that_takes_over_for_another_runs_the_last_good_version() -> None:
    site = settled(4, 2)
    site.world.faulty["2.0.0"] = "golden"
    site.publish(2, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(20_000)
    victim: SimNode = next(n for n in site.nodes if n.serving("faces"))
    victim.power_off()
    site.world.run_until(lambda: site.serving() == 2, 8_000, "its replica elsewhere")
    assert sorted(v for found in site.versions().values() for v in found) == ["1.0.0"] * 2
    assert sum(node.tried("2.0.0") for node in site.nodes) <= 2


def test_a_paused_rollout_holds_through_outage_and_restarts_and_goes_on_when_resumed() -> None:
    site = settled(3, 3)
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run_until(lambda: "2.0.0" in serving_versions(site), 10_000, "one node tries it")
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS, paused=True)
    fewest, _ = watch(site, 20_000)
    both = ["1.0.0", "1.0.0", "2.0.0"]
    assert fewest >= 3
    assert serving_versions(site) == both
    site.cut_wan()
    for node in site.nodes:
        node.power_off()
    site.world.run(1_000)
    for node in site.nodes:
        node.boot()
    site.world.run_until(lambda: site.serving() == 3, 15_000, "three replicas, from cold")
    site.world.run(20_000)
    assert serving_versions(site) == both
    site.mend_wan()
    site.publish(3, version="2.0.0", soak_ms=SOAK_MS)
    site.world.run(30_000)
    assert serving_versions(site) == ["2.0.0"] * 3
