"""Cordon and drain in a simulated site: what is taken, what moves, and what never falls short."""

import pytest

from mesh.core.cordon import CORDON, EVENTS
from mesh.core.node import RUNTIME_MS
from mesh.site.handover import LINGER_MS
from protos.documents_pb2 import Phase, PipelinePlan
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def lowest(site: Site, duration_ms: int) -> int:
    """The fewest replicas that served at any moment of the time that passes."""
    fewest = site.serving()
    for _ in range(duration_ms // 50):
        site.world.run(50)
        fewest = min(fewest, site.serving())
    return fewest


def busy(site: Site) -> SimNode:
    """A node on which a replica serves."""
    return next(node for node in site.nodes if node.up and node.serving("faces"))


def events(node: SimNode) -> list[tuple[str, str, str]]:
    """What the node journalled: event, subject, cause."""
    own = [log for key, log in node.disk.logs.items() if key.node == node.name]
    entries = [entry for log in own for batch in log for entry in batch.entries]
    return [(entry.event, entry.subject, entry.cause) for entry in entries]


def operators(node: SimNode) -> list[str]:
    """Whom the node's entries name of those that told whether it takes work."""
    own = [log for key, log in node.disk.logs.items() if key.node == node.name]
    entries = [entry for log in own for batch in log for entry in batch.entries]
    said = [entry for entry in entries if entry.event in EVENTS.values()]
    return [entry.fields.get("operator", "") for entry in said]


def alarms(node: SimNode) -> dict[tuple[str, str], str]:
    return {(a.kind, a.subject): a.message for a in node.core.alarms.states()}


@pytest.mark.parametrize(("nodes", "replicas"), [(2, 1), (2, 2), (3, 2), (5, 3)])
def test_a_drain_moves_all_work_off_and_never_below_what_is_asked_for(
    nodes: int, replicas: int
) -> None:
    site = Site(nodes).settle(replicas)
    node = busy(site)
    node.hold_back(True, "new fan")
    assert lowest(site, 8_000) == replicas
    assert node.runs == {}
    assert site.serving() == replicas
    assert ("node.draining", node.name, "new fan") in events(node)
    assert ("node.drained", node.name, "nothing runs here") in events(node)
    assert all(n.core.membership.registers.get(node.name).body.draining for n in site.nodes)


def test_the_drained_replica_ends_only_after_all_could_hear_of_its_successor() -> None:
    site = Site(3).settle(2)
    node = busy(site)
    others = [one for one in site.nodes if one is not node]
    node.hold_back(True)
    site.world.run_until(lambda: sum(n.serving("faces") for n in others) == 2, 8_000, "successor")
    began = site.world.now_ms
    site.world.run_until(lambda: not node.serving("faces"), 5_000, "it ends")
    assert LINGER_MS <= site.world.now_ms - began <= LINGER_MS + 1_000


def test_what_fits_nowhere_else_stays_with_an_alarm_and_goes_once_there_is_room() -> None:
    site = Site(3)
    other, late = site.nodes[1:]
    for node in site.nodes[:2]:
        node.boot()
    site.world.run(2_000)
    site.publish(replicas=8)
    site.world.run_until(lambda: site.serving() == 8, 15_000, "all replicas")
    node = site.nodes[0]
    node.hold_back(True)
    assert lowest(site, 5_000) == 8
    said = alarms(other)["Drain", f"{node.name}/faces"]
    assert "4 of its replicas fit on no other live node" in said
    late.boot()
    assert lowest(site, 12_000) == 8
    assert node.runs == {}
    assert ("Drain", f"{node.name}/faces") not in alarms(other)


def test_one_node_alone_drains_nothing_and_says_so() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    node.hold_back(True)
    assert lowest(site, 5_000) == 1
    assert list(alarms(node)) == [("Drain", f"{node.name}/faces")]
    assert "node.drained" not in [event for event, _, _ in events(node)]


def test_all_nodes_are_drained_one_after_the_other() -> None:
    site = Site(3).settle(2)
    for node in site.nodes:
        node.hold_back(True)
        assert lowest(site, 6_000) == 2
    last = site.nodes[-1]
    assert {n.name: n.serving("faces") for n in site.nodes if n.runs} == {last.name: 2}
    for node in site.nodes:
        node.hold_back(None, "done")
    assert lowest(site, 8_000) == 2
    assert ("node.uncordoned", last.name, "done") in events(last)


def test_a_drain_with_a_death_in_the_middle() -> None:
    site = Site(4).settle(2)
    node = busy(site)
    node.hold_back(True)
    served = {one.name for one in site.nodes if one.runs}

    def successors() -> list[SimNode]:
        return [one for one in site.nodes if one.runs and one.name not in served]

    site.world.run_until(lambda: bool(successors()), 5_000, "its successor loads")
    successors()[0].power_off()
    assert lowest(site, 12_000) == 2, "what drains serves until another one does"
    assert node.runs == {}


def test_a_cordoned_node_keeps_what_runs_and_gets_nothing_new() -> None:
    site = Site(3).settle(2)
    node = busy(site)
    starts = len(node.starts)
    node.hold_back(False, "watch it")
    site.publish(replicas=6)
    site.world.run_until(lambda: site.serving() == 6, 15_000, "four more")
    assert node.serving("faces") == 1
    assert len(node.starts) == starts
    assert ("node.cordoned", node.name, "watch it") in events(node)


def test_a_cordoned_node_keeps_its_work_over_a_restart_of_its_runtime_and_its_agent() -> None:
    site = Site(3).settle(2)
    node = busy(site)
    node.hold_back(False)
    site.world.run(2_000)
    node.lose_runtime()
    site.world.run_until(lambda: node.serving("faces") == 1, 8_000, "it starts again there")
    site.world.run(3_000)
    (pid,) = [status.pid for status in node.runs.values()]
    node.restart_agent()
    assert lowest(site, 8_000) == 2
    assert [status.pid for status in node.runs.values()] == [pid]
    assert site.serving() == 2


def test_what_was_said_at_a_node_holds_over_restarts_and_without_a_master() -> None:
    site = Site(3).settle(2)
    site.cut_wan()
    node = busy(site)
    node.hold_back(True)
    assert lowest(site, 6_000) == 2
    node.power_off()
    node.boot()
    assert lowest(site, 8_000) == 2
    assert node.runs == {}


def test_what_is_said_at_a_master_counts_as_well_also_for_a_node_that_is_off() -> None:
    site = Site(3).settle(2)
    node = busy(site)
    node.power_off()
    site.publish(replicas=2, held_back={node.name: True})
    site.world.run_until(lambda: site.serving() == 2, 10_000, "healed")
    node.boot()
    assert lowest(site, 8_000) == 2
    assert node.runs == {}
    node.hold_back(False)
    assert node.core.cordon.draining is True
    site.publish(replicas=2)
    site.world.run(5_000)
    assert node.core.cordon.draining is False, "uncordoned at the master, and still by itself"
    node.hold_back(None)
    site.world.run_until(lambda: bool(node.runs), 5_000, "it takes work again")


def test_a_cordon_is_journalled_once_however_often_the_agent_starts() -> None:
    site = Site(2).settle(1)
    node, other = site.nodes
    node.hold_back(False, "watch it")
    site.world.run(1_000)
    other.power_off()
    site.publish(replicas=1, held_back={n.name: True for n in site.nodes})
    site.world.run(4_000)
    other.boot()
    site.world.run(4_000)
    for _ in range(2):
        node.restart_agent()
        other.restart_agent()
        site.world.run(4_000)

    def told(one: SimNode) -> list[str]:
        return [event for event, _, _ in events(one) if event in EVENTS.values()]

    assert told(node) == ["node.cordoned", "node.draining"]
    assert operators(node) == ["ann", ""], "said here, and at a master, whose events name him"
    assert told(other) == ["node.draining"], "it was said while it was off"


@pytest.mark.parametrize("waits_ms", [0, 2_000])
def test_an_event_names_nobody_whose_word_changed_nothing(waits_ms: int) -> None:
    site = Site(2).settle(1)
    node = site.nodes[1]
    node.hold_back(False, "new fan")
    site.world.run(2_000)
    node.hold_back(False, "new fan, said twice")
    site.world.run(waits_ms)
    site.publish(replicas=1, held_back={node.name: True})
    site.world.run(3_000)
    told = [(event, cause) for event, _, cause in events(node) if event in EVENTS.values()]
    assert [event for event, _ in told] == ["node.cordoned", "node.draining"]
    assert [cause.startswith("said at a master") for _, cause in told] == [False, True]
    assert operators(node) == ["ann", ""]


def test_what_was_said_and_taken_back_at_once_names_nobody_later() -> None:
    site = Site(2).settle(1)
    node = site.nodes[1]
    for draining in (True, None):
        node.hold_back(draining, "a slip")
    site.world.run(2_000)
    site.publish(replicas=1, held_back={node.name: True})
    site.world.run(3_000)
    assert operators(node) == [""]


def test_a_drain_is_over_once_however_often_the_agent_starts() -> None:
    site = Site(2).settle(1)
    node = busy(site)

    def drained() -> int:
        return [event for event, _, _ in events(node)].count("node.drained")

    node.hold_back(True, "new fan")
    site.world.run(4_000)
    assert drained() == 1
    for _ in range(2):
        node.restart_agent()
        site.world.run(4_000)
    assert drained() == 1
    node.hold_back(None)
    site.world.run(4_000)
    node.hold_back(True, "another fan")
    site.world.run(4_000)
    assert drained() == 2


def test_a_drained_gateway_and_copy_holder_hand_over() -> None:
    site = Site(3).settle(2)
    gateway = site.gateway()
    writer = next(n for n in site.nodes if n is not gateway)
    gateway.hold_back(True)
    site.world.run(8_000)
    assert site.gateway() is not gateway
    assert writer.core.copy_holder() not in ("", gateway.name)
    for node in site.nodes:
        node.hold_back(True)
    site.world.run(3_000)
    assert site.gateway().name, "somebody has to"
    assert writer.core.copy_holder() != ""


def with_a_pipeline() -> tuple[Site, SimNode]:
    """A site of three, two with the source of a pipeline, and the one of them on which it runs."""
    site = Site(3)
    for node in site.nodes[:2]:
        node.sources = ("camera",)
    site.settle(3)
    door = PipelinePlan(name="door", source="camera", service="faces", every_ms=200)
    site.publish(replicas=3, pipelines=(door,))
    site.world.run_until(lambda: bool(readers(site)), 5_000, "it runs")
    site.world.run(1_000)
    (at,) = readers(site)
    return site, site.node(at)


def readers(site: Site) -> list[str]:
    """The nodes on which the pipeline runs."""
    return [node.name for node in site.nodes if "door" in node.pipelines]


def agreed(site: Site) -> set[str]:
    """Where the nodes that are up place the pipeline."""
    return {n.core.placement.pipelines.get("door", "") for n in site.nodes if n.up}


def test_a_cordoned_node_keeps_its_pipeline_while_its_runtime_starts_anew() -> None:
    site, node = with_a_pipeline()
    node.hold_back(False)
    site.world.run(2_000)
    node.lose_runtime()
    for _ in range(100):
        site.world.run(50)
        assert set(readers(site)) <= {node.name}
        assert agreed(site) == {node.name}
    assert readers(site) == [node.name]
    (said,) = node.core.register.pipelines
    assert (said.workload, said.phase) == ("door", Phase.SERVING)


@pytest.mark.parametrize("late_ms", [0, 300, 900])
def test_a_cordoned_node_keeps_its_work_over_a_restart_of_its_agent_that_hears_its_runtime_late(
    late_ms: int,
) -> None:
    site, node = with_a_pipeline()
    node.hold_back(False)
    site.world.run(2_000)
    ran = dict(node.pipelines), {key: status.pid for key, status in node.runs.items()}
    node.heard_after_ms = late_ms
    node.restart_agent()
    for _ in range(100):
        site.world.run(50)
        assert readers(site) == [node.name]
        assert site.serving() == 3
    assert ran == (node.pipelines, {key: status.pid for key, status in node.runs.items()})
    assert agreed(site) == {node.name}


def test_an_agent_that_starts_says_nothing_before_it_knows_what_runs_or_for_a_second() -> None:
    site, node = with_a_pipeline()
    neighbour = site.nodes[2].core.membership.registers
    for after_ms, begins_ms in ((400, 400), (60_000, RUNTIME_MS)):
        node.heard_after_ms = after_ms
        node.restart_agent()
        site.world.run(begins_ms - 50)
        assert neighbour.get(node.name).body.boot.counter < node.core_boot.counter
        site.world.run(500)
        assert neighbour.get(node.name).body.boot == node.core_boot


def test_what_a_cordoned_node_has_begun_is_said_before_its_runtime_knows_of_it() -> None:
    site, node = with_a_pipeline()
    node.hold_back(False)
    site.world.run(2_000)
    node.lose_runtime()
    node.runs, node.do_Run = {}, lambda _: None  # type: ignore[method-assign]
    site.world.run(2_000)
    said = node.core.register
    assert [(p.workload, p.phase) for p in said.pipelines] == [("door", Phase.LOADING)]
    assert [(r.workload, r.phase) for r in said.replicas] == [("faces", Phase.LOADING)]
    assert agreed(site) == {node.name}


def test_a_pipeline_leaves_a_draining_node() -> None:
    site, node = with_a_pipeline()
    at, seen = node.name, site.nodes[2].core
    node.hold_back(True)
    site.world.run_until(lambda: seen.placement.pipelines["door"] != at, 2_000, "it leaves")
    site.world.run(1_000)
    assert len({n.core.placement.pipelines["door"] for n in site.nodes}) == 1


def test_what_another_release_kept_of_a_cordon_says_nothing() -> None:
    site = Site(1)
    (node,) = site.nodes
    node.disk.documents[CORDON] = b"\xff\xff"
    site.settle(1)
    assert (node.core.cordon.own, node.core.cordon.draining) == (None, None)
    node.hold_back(False)
    assert (node.core.cordon.own, node.core.cordon.draining) == (False, False)
