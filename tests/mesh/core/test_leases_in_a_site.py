"""Exclusive pipelines with `onSplit: stop` in simulated sites: one runs, and never two."""

from collections.abc import Collection, Mapping

import pytest

from mesh.core.messages import RuntimeReported
from mesh.site.leases import FREE_MS, LEASE_MS, tie_breaker
from protos.documents_pb2 import PipelinePlan
from tests.sim.nodes import SimNode
from tests.sim.site import Site
from tests.sim.world import World

DOOR = PipelinePlan(name="door", source="camera", service="faces", every_ms=100, exclusive=True)
SOON_MS = 2 * FREE_MS


def site_with(
    nodes: int, rates: Mapping[str, float] | None = None, world: World | None = None
) -> Site:
    """A site in which every node has the camera, with the door on one of them. `rates`: of the
    clocks, by node."""
    site = Site(nodes, world=world)
    for node in site.nodes:
        node.sources = ("camera",)
        node.rate = (rates or {}).get(node.name, 1.0)
    site.boot()
    site.publish(replicas=1, pipelines=(DOOR,))
    site.world.run_until(lambda: len(runners(site)) == 1, 2 * SOON_MS, "the door runs")
    return site


def runners(site: Site) -> list[SimNode]:
    return [node for node in site.nodes if "door" in node.pipelines]


def owner_of(site: Site) -> SimNode:
    (owner,) = runners(site)
    return owner


def part(site: Site, names: Collection[str]) -> None:
    """Cuts these nodes off from the others."""
    for node in site.nodes:
        for other in site.nodes:
            if (node.name in names) != (other.name in names):
                site.world.cut_off(node.name, other.name)


def join(site: Site) -> None:
    for node in site.nodes:
        for other in site.nodes:
            site.world.mend(node.name, other.name)


def assert_never_twice(site: Site) -> None:
    assert [start for start in site.world.pipeline_starts if start[3]] == []


def alarms(node: SimNode) -> dict[str, str]:
    return {a.subject: a.message for a in node.core.alarms.states() if a.kind == "Pending"}


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_it_runs_on_one_node_and_goes_on_without_a_master(nodes: int) -> None:
    site = site_with(nodes)
    site.cut_wan()
    pid = owner_of(site).pipelines["door"].pid
    site.world.run(60_000)
    assert owner_of(site).pipelines["door"].pid == pid
    assert_never_twice(site)


@pytest.mark.parametrize("nodes", [2, 3, 4, 5])
def test_when_its_node_dies_another_takes_over_if_enough_are_left(nodes: int) -> None:
    site = site_with(nodes)
    before = owner_of(site)
    before.power_off()
    roster = [node.name for node in site.nodes]
    if nodes == 2 and tie_breaker("door", roster) == before.name:
        site.world.run(60_000)
        assert runners(site) == []
    else:
        site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS + LEASE_MS, "another runs")
    before.boot()
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS + LEASE_MS, "it runs again")
    site.world.run(30_000)
    assert len(runners(site)) == 1
    assert_never_twice(site)


@pytest.mark.parametrize(("nodes", "cut"), [(2, 1), (3, 1), (4, 2), (5, 2)])
@pytest.mark.parametrize("with_owner", [True, False])
@pytest.mark.parametrize("wan", [True, False])
def test_in_a_split_the_part_that_decides_runs_it_and_after_the_merge_one_does(
    nodes: int, cut: int, with_owner: bool, wan: bool
) -> None:
    site = site_with(nodes)
    owner = owner_of(site).name
    others = [node.name for node in site.nodes if node.name != owner]
    small = {owner, *others[: cut - 1]} if with_owner else set(others[:cut])
    if not wan:
        site.cut_wan()
    part(site, small)
    site.world.run(SOON_MS + LEASE_MS + FREE_MS)
    roster = {node.name for node in site.nodes}
    decides = small if 2 * cut == nodes and tie_breaker("door", roster) in small else roster - small
    assert owner_of(site).name in decides
    waiting = [alarms(node)["door"] for node in site.nodes if "door" in alarms(node)]
    if not wan:
        assert any(f"of the {nodes} nodes of the roster acknowledge" in text for text in waiting)
        assert any("onSplit: run" in text for text in waiting)
    starts = len(site.world.pipeline_starts)
    site.world.run(30_000)
    assert len(site.world.pipeline_starts) == starts
    site.mend_wan()
    join(site)
    site.world.run(SOON_MS + LEASE_MS)
    assert len(runners(site)) == 1
    assert all("door" not in alarms(node) for node in site.nodes)
    assert_never_twice(site)


def test_a_split_into_parts_none_of_which_decides_stops_it_in_time() -> None:
    site = site_with(3)
    for node in site.nodes:
        part(site, {node.name})
    site.world.run(LEASE_MS + 1)
    assert runners(site) == []
    site.world.run(60_000)
    assert runners(site) == []
    join(site)
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS + LEASE_MS, "one runs again")
    assert_never_twice(site)


def test_an_agent_that_freezes_loses_it_and_acts_no_more_when_it_wakes() -> None:
    site = site_with(3)
    before = owner_of(site)
    before.freeze(True)
    site.world.run(LEASE_MS + 1)
    assert before not in runners(site)
    site.world.run(60_000 - LEASE_MS)
    assert owner_of(site) is not before
    before.freeze(False)
    site.world.run(30_000)
    assert len(runners(site)) == 1
    assert_never_twice(site)


def test_an_agent_that_starts_anew_waits_for_what_was_granted_before() -> None:
    site = site_with(3)
    before = owner_of(site)
    for _ in range(3):
        for node in site.nodes:
            node.restart_agent()
            site.world.run(3_000)
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS + LEASE_MS, "it runs again")
    before.restart_agent()
    site.world.run(40_000)
    assert len(runners(site)) == 1
    assert_never_twice(site)


def test_a_site_that_starts_all_at_once_runs_it_after_a_lease_and_a_margin() -> None:
    site = site_with(3)
    for node in site.nodes:
        node.power_off()
    site.world.run(500)
    for node in site.nodes:
        node.boot()
    site.world.run(FREE_MS - 1)
    assert runners(site) == []
    site.world.run_until(lambda: len(runners(site)) == 1, FREE_MS, "it runs again")
    assert_never_twice(site)


def test_an_agent_that_is_dead_does_not_keep_it_alive() -> None:
    site = site_with(3)
    before = owner_of(site)
    before.crash()
    site.world.run(LEASE_MS + 1)
    assert before not in runners(site)
    site.world.run_until(lambda: len(runners(site)) == 1, SOON_MS, "another runs")
    before.start_agent()
    site.world.run(40_000)
    assert len(runners(site)) == 1
    assert_never_twice(site)


@pytest.mark.parametrize("rates", [{"south-1": 1.1, "south-2": 1.1}, {"south-3": 0.9}])
def test_clocks_that_run_apart_by_what_the_margin_allows_change_nothing(
    rates: dict[str, float],
) -> None:
    site = site_with(3, rates)
    before = owner_of(site)
    assert before.name == "south-3"
    for _ in range(4):
        part(site, {before.name})
        site.world.run(40_000)
        join(site)
        site.world.run(40_000)
        assert len(runners(site)) == 1
    assert_never_twice(site)


def test_what_moves_as_planned_is_given_back_and_goes_on_at_once() -> None:
    site = site_with(3)
    before = owner_of(site)
    before.hold_back(draining=True)
    took = site.world.run_until(
        lambda: len(runners(site)) == 1 and owner_of(site) is not before, SOON_MS, "it moved"
    )
    assert took <= 3_000
    before.hold_back(None)
    site.world.run_until(lambda: runners(site) == [before], SOON_MS, "it moved back")
    assert_never_twice(site)


def test_what_cannot_be_seen_to_stop_is_not_given_back_before_its_time() -> None:
    site = site_with(3)
    before = owner_of(site)
    before.feed(RuntimeReported(None))  # it may run on: nobody can tell
    before.hold_back(draining=True)
    site.world.run(LEASE_MS - 3_000)
    assert runners(site) == [before]
    site.world.run_until(lambda: len(runners(site)) == 1 and runners(site) != [before], SOON_MS)
    assert before.core.leases.lease("door") is None
    assert_never_twice(site)


def test_a_node_whose_disk_comes_from_another_machine_takes_no_part() -> None:
    site = site_with(3)
    before = owner_of(site)
    before.power_off()
    before.moved = "the board differs"
    before.boot()
    site.world.run(60_000)
    assert before not in runners(site)
    assert len(runners(site)) == 1
    assert "its data folder comes" in before.core.leases.barred(before.core)
    before.moved = ""
    before.restart_agent()
    site.world.run_until(lambda: runners(site) == [before], SOON_MS + LEASE_MS, "it runs again")
    assert_never_twice(site)
