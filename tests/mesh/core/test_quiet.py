"""When a node decides again although nothing told it to, and that it rests otherwise."""

import pytest

from mesh.core import reports
from mesh.core.messages import RuntimeReported
from mesh.core.node import NodeCore
from mesh.core.quiet import ANYWAY_MS, LOOK_EVERY_MS, Quiet
from mesh.core.runtime_view import RuntimeView
from protos.documents_pb2 import LoadRegister, ServiceLoad
from protos.runtime_pb2 import RuntimeState
from tests.sim import identities
from tests.sim.nodes import SimNode
from tests.sim.site import Site


@pytest.fixture(scope="module")
def node() -> SimNode:
    """A node of a site that serves, as it does itself, and has come to rest."""
    site = Site(nodes=3).settle()
    site.world.run(5_000)
    return next(node for node in site.nodes if node.serving("faces"))


def quiet_after(core: NodeCore, outcome: bool = False) -> Quiet:
    quiet = Quiet(0)
    quiet.decided(core, outcome, 0)
    return quiet


def test_where_nothing_changes_nothing_is_decided_for_long(node: SimNode) -> None:
    quiet = quiet_after(node.core)
    looks = range(0, ANYWAY_MS, LOOK_EVERY_MS // 4)
    assert not any(quiet.is_over(node.core, now_ms) for now_ms in looks)
    assert quiet.is_over(node.core, ANYWAY_MS)


def test_a_decision_that_led_to_something_is_followed_by_another(node: SimNode) -> None:
    quiet = quiet_after(node.core, outcome=True)
    assert not quiet.is_over(node.core, LOOK_EVERY_MS - 1)
    assert quiet.is_over(node.core, LOOK_EVERY_MS)


def test_an_alarm_is_no_longer_untold_than_a_look(node: SimNode) -> None:
    quiet = quiet_after(node.core)
    assert not quiet.is_over(node.core, LOOK_EVERY_MS)
    node.core.alarms.set("Disk", "state", "full", "critical", 1)
    assert not quiet.is_over(node.core, 2 * LOOK_EVERY_MS - 1)
    assert quiet.is_over(node.core, 2 * LOOK_EVERY_MS)
    node.core.alarms.clear("Disk", "state", "room again")
    quiet = quiet_after(node.core)
    assert not quiet.is_over(node.core, LOOK_EVERY_MS)


def test_the_load_of_a_neighbour_is_looked_at(node: SimNode) -> None:
    quiet, registers = quiet_after(node.core), node.core.membership.registers
    other = next(r.body for r in registers.records() if r.body.node != node.name)
    load = LoadRegister(node=other.node, boot=other.boot, version=9)
    load.services.append(ServiceLoad(workload="faces", queue_delay_ms=50))
    uri = identities.node_identity("south", other.node).uri
    registers.publish_load(load, identities.signer(uri))
    assert quiet.is_over(node.core, LOOK_EVERY_MS)


def test_a_site_at_rest_publishes_nothing_and_heals_at_once(node: SimNode) -> None:
    world = node.world
    before = node.core.membership.registers.generation
    world.run(ANYWAY_MS)
    assert node.core.membership.registers.generation == before
    others = [host for host in world.hosts.values() if isinstance(host, SimNode) and host != node]
    serving = next(host for host in others if host.serving("faces"))
    serving.power_off()
    rest = [host for host in world.hosts.values() if isinstance(host, SimNode) and host.up]
    world.run_until(lambda: sum(n.serving("faces") for n in rest) == 2, 8_000, "it is replaced")


def test_a_runtime_that_says_the_same_again_is_no_reason_to_decide(node: SimNode) -> None:
    core, now_ms = node.core, node.clock_ms()
    same = RuntimeState()
    same.CopyFrom(core.runtime.state)
    core.handle(RuntimeReported(same), now_ms)
    assert core.stale == ""
    other = RuntimeState()
    other.CopyFrom(same)
    other.replicas[0].restarts += 1
    core.stale = ""
    reports.runtime_reported(core, RuntimeReported(other), now_ms)
    assert core.stale == "the runtime's state"
    core.stale = ""
    reports.runtime_reported(core, RuntimeReported(None), now_ms)
    assert core.stale == "the runtime's state"
    core.stale = ""
    reports.runtime_reported(core, RuntimeReported(None), now_ms)
    assert core.stale == "", "the agent says again and again that it is gone"
    reports.runtime_reported(core, RuntimeReported(other), now_ms)
    assert core.stale == "the runtime's state", "it is there again"


def test_the_first_word_that_there_is_no_runtime_is_a_reason_to_decide(node: SimNode) -> None:
    core, now_ms = node.core, node.clock_ms()
    core.runtime, core.stale = RuntimeView(), ""
    reports.runtime_reported(core, RuntimeReported(None), now_ms)
    assert core.stale == "the runtime's state"
