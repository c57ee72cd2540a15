"""One node of a site that says absurd things of itself: it moves nobody's work but its own."""

from dataclasses import replace

import pytest

from mesh.site.local import service_config
from mesh.site.scaling import Scaler
from protos.documents_pb2 import Capacity, ServiceLoad, ServiceVerdict
from tests.sim.nodes import SimNode
from tests.sim.site import Site, faces

MOST = 2**32 - 1
YEAR_2106_MS = 2**32 * 1000


def lying(site: Site) -> SimNode:
    """The last node of a site lies in all that it can say, from now on."""
    liar = site.nodes[-1]
    core = liar.core
    capacity = Capacity(cores=MOST, memory_bytes=2**64 - 1, devices=["CPU"])
    core.facts = replace(core.facts, capacity=capacity)
    core.share.rollouts.verdicts = [
        ServiceVerdict(workload="faces", config=service_config(faces(v, 2)), reason="it is bad")
        for v in ("1.0.0", "2.0.0", "3.0.0")
    ]
    core.share.counts._kept["faces"] = Scaler(MOST)
    for number in range(50):
        core.alarms.set("Offline", f"node-{number}", "\x1b[2J" * 100, "critical", 2**64 - 1)
    liar.wall_offset_ms = YEAR_2106_MS
    core.stale = "lies"
    return liar


def told(site: Site, liar: SimNode, duration_ms: int) -> int:
    """Lets time pass in which the liar claims to be busy beyond measure; the most replicas."""
    most = 0
    for _ in range(duration_ms // 500):
        loads = [ServiceLoad(workload="faces", queue_delay_ms=MOST, requests_per_second=MOST)]
        liar.loads = loads
        liar._report()
        site.world.run(500)
        most = max(most, site.serving())
    return most


@pytest.mark.parametrize("nodes", [3, 4, 6], ids=lambda n: f"{n} nodes")
def test_a_node_that_lies_in_everything_moves_only_its_own_work(nodes: int) -> None:
    site = Site(nodes).settle(2)
    honest = site.nodes[:-1]
    starts = {node.name: len(node.starts) for node in honest}
    served = {node.name: node.serving("faces") for node in honest}
    liar = lying(site)
    most = told(site, liar, 30_000)
    assert most <= 3, "what moves there serves on here until it serves there"
    assert site.serving() == 2, "the plan's numbers stand, whatever count it claims"
    moved = sum(len(node.starts) - starts[node.name] for node in honest)
    assert moved <= 1, (starts, served)
    assert sum(node.serving("faces") for node in honest) >= 1, "each node takes one at most"
    others = [alarm for node in honest for alarm in node.core.register.alarms]
    assert {alarm.kind for alarm in others} <= {"Clock"}


def test_a_node_that_refuses_everything_holds_back_nothing() -> None:
    site = Site(4).settle(3)
    lying(site)
    site.publish(replicas=3, version="2.0.0", soak_ms=1_000)
    site.world.run(30_000)
    honest = [v for node in site.nodes[:-1] for v in site.versions()[node.name]]
    assert honest
    assert set(honest) == {"2.0.0"}


def test_a_plan_that_asks_for_more_than_all_nodes_have_is_pending_with_an_alarm() -> None:
    site = Site(2).settle(1)
    site.publish(replicas=40)
    site.world.run(10_000)
    for node in site.nodes:
        (alarm,) = [a for a in node.core.register.alarms if a.kind == "Pending"]
        assert alarm.message.startswith("32 of 40 replicas fit on no live node: add a node")
    assert site.serving() == 8, "what fits serves"
    site.publish(replicas=1)
    site.world.run(5_000)
    assert not any(a.kind == "Pending" for n in site.nodes for a in n.core.register.alarms)
