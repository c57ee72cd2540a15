"""The small parts of a node's core at work in a simulated site."""

import pytest

from mesh.blobs.instructions import Fault
from mesh.core.loads import LOAD_EVERY_MS
from mesh.core.messages import (
    ArtifactBegun,
    ArtifactDamaged,
    ArtifactFailed,
    ChunksFailed,
    Run,
    RuntimeReported,
    Trouble,
    WanPath,
)
from mesh.core.view import same_run
from mesh.events import WriteJournal
from mesh.hashing import sha256
from protos.documents_pb2 import (
    Phase,
    PipelinePlan,
    ServiceLoad,
    SiteBranch,
)
from protos.runtime_pb2 import RuntimeState
from tests.mesh.core.services import status
from tests.sim.site import Site, face_detector


@pytest.fixture
def site() -> Site:
    return Site(nodes=2).settle()


def digest() -> bytes:
    return sha256(face_detector()[0])


def test_a_full_disk_stops_nothing_and_is_tried_again(site: Site) -> None:
    node = site.nodes[0]
    node.disk.complete.clear()
    artifacts = node.core.artifacts
    artifacts.complete.clear()
    node.feed(ArtifactFailed(digest(), "the disk is full"))
    site.world.run(300)
    assert ("Disk", digest().hex()[:16]) in {(a.kind, a.subject) for a in node.core.alarms.states()}
    assert site.serving() == 2
    assert artifacts.fetching() == [digest()]
    site.world.run(20_000)
    assert artifacts.failed == {}


def test_a_damaged_artifact_is_fetched_again_and_its_replica_told_then(site: Site) -> None:
    node = next(n for n in site.nodes if n.serving("faces"))
    core = node.core
    (key,) = core.told_services
    node.disk.complete.clear()
    node.feed(ArtifactDamaged(digest(), "a file is gone", None))
    assert core.told_services.keys() == {key}
    assert digest() not in core.artifacts.complete
    node.feed(ArtifactDamaged(digest(), "a file is gone", key))
    assert key not in core.told_services
    site.world.run(3_000)
    assert digest() in core.artifacts.complete
    assert core.told_services.keys() == {key}
    node.feed(RuntimeReported(None))
    node.feed(ArtifactDamaged(digest(), "a file is gone", key))
    assert core.told_services == {}


def test_the_runtime_is_told_again_what_says_something_else_and_not_for_another_cause() -> None:
    one = Run((), (), (), (), "one cause")
    assert same_run(one, Run((), (), (), (), "another"))
    assert not same_run(one, Run((), (PipelinePlan(name="door"),), (), (), "one cause"))


def test_a_corrupt_chunk_is_told_and_an_unreachable_source_is_not(site: Site) -> None:
    core = site.nodes[0].core
    for fault, told in ((Fault.CORRUPT, 1), (Fault.UNREACHABLE, 0)):
        out = core.handle(ChunksFailed(digest(), (0,), "n9", fault), site.world.now_ms)
        assert sum(isinstance(i, WriteJournal) and i.event == "chunk.corrupt" for i in out) == told


def test_room_for_what_is_not_needed_any_more_is_not_used(site: Site) -> None:
    artifacts = site.nodes[0].core.artifacts
    artifacts.plan((), (), site.world.now_ms)
    assert artifacts.begun(ArtifactBegun(digest(), frozenset({1})), site.world.now_ms) == []
    assert artifacts.held_chunks(digest()) == 1
    assert artifacts.held_chunks(b"other") == 0


def test_a_manifest_by_nobody_who_may_release_is_refused_and_said(site: Site) -> None:
    node = site.nodes[0]
    artifacts = node.core.artifacts
    forged = b"no manifest at all"
    artifacts.plan({sha256(forged)}, {sha256(forged)}, site.world.now_ms)
    assert len(artifacts.ask(["n1"])) == 1
    (entry,) = artifacts.blob(forged, "n1", site.world.now_ms)
    assert isinstance(entry, WriteJournal)
    assert artifacts.ask(["n1"]) == []
    assert artifacts.blob(forged, "n1", site.world.now_ms) == []
    artifacts.restored([forged], [], site.world.now_ms)
    assert sha256(forged) in artifacts.refused


def test_what_the_plan_needs_no_more_is_not_fetched_on(site: Site) -> None:
    artifacts = site.nodes[0].core.artifacts
    artifacts.complete.clear()
    artifacts.plan((), (), site.world.now_ms)
    assert artifacts.fetching() == []
    assert artifacts.tick(site.world.now_ms) == []


# ---- the node ----


def test_troubles_of_the_edge_are_alarms_until_they_are_over(site: Site) -> None:
    node = site.nodes[0]
    node.feed(Trouble("Multicast", "lan", "does not work here"))
    assert "Multicast" in {alarm.kind for alarm in node.core.alarms.states()}
    node.feed(Trouble("Multicast", "lan", ""))
    assert "Multicast" not in {alarm.kind for alarm in node.core.alarms.states()}


def test_loads_reach_neighbours_and_routes_follow_them(site: Site) -> None:
    node, other = site.nodes
    loads = [ServiceLoad(workload="faces", queue_delay_ms=20)]
    node.loads = loads
    node.feed(RuntimeReported(node._state()))
    site.world.run(LOAD_EVERY_MS + 500)
    assert other.core.membership.registers.load(node.name).services[0].queue_delay_ms == 20
    site.world.break_link(node.name, other.name)
    site.world.run(3_000)
    assert other.core.membership.registers.load(node.name).services[0].queue_delay_ms == 20


def test_a_runtime_that_goes_away_and_comes_back_is_told_again(site: Site) -> None:
    node = site.nodes[0]
    running = dict(node.runs)
    node.feed(RuntimeReported(None))
    node.runs = {}
    assert node.core.told_services == {}
    assert not node.core.register.replicas or site.world.run(1_000) is None
    node.feed(RuntimeReported(RuntimeState(peer_inference_address="x:1")))
    site.world.run(3_000)
    assert set(node.runs) == set(running)
    assert node.core.inference_address == f"{node.name}:7412"
    assert node.core.told_services.keys() == running.keys()


def test_a_runtime_on_every_interface_is_reached_where_the_node_is(site: Site) -> None:
    node = site.nodes[0]
    node.feed(RuntimeReported(RuntimeState(peer_inference_address="0.0.0.0:7412")))
    site.world.run(3_000)
    assert node.core.register.inference_address == f"{node.name}:7412"


def test_the_counted_plan_asks_for_as_many_as_there_should_be(site: Site) -> None:
    counted = site.nodes[0].core.share.counted
    assert [(s.name, s.replicas_min) for s in counted.services] == [("faces", 2)]


def test_a_path_that_is_up_already_is_no_news(site: Site) -> None:
    gateway = site.gateway()
    now = site.world.now_ms
    assert gateway.core.handle(WanPath(True, "again"), now) == []


def test_an_address_that_is_known_late_is_published(site: Site) -> None:
    node = site.nodes[0]
    node.core.listens("10.0.0.9:7400")
    site.world.run(1_000)
    assert node.core.register.peer_address == "10.0.0.9:7400"


def test_what_the_register_says_is_bounded(site: Site) -> None:
    node = site.nodes[0]
    for number in range(120):
        node.core.alarms.set("Test", str(number), "m" * 400, "warning", 1)
    replicas = [status(Phase.FAILED, reason="r" * 5_000)]
    node.feed(RuntimeReported(RuntimeState(replicas=replicas)))
    site.world.run(1_000)
    assert len(node.core.register.replicas[0].reason) == 200
    assert 0 < len(node.core.register.alarms) < 120
    node.core.artifacts.complete |= {bytes([n]) * 32 for n in range(200)}
    node.core.facts.labels.update({f"label-{n}": "v" * 60 for n in range(170)})
    node.core.listens("again")
    site.world.run(1_000)
    assert list(node.core.register.artifacts) == []


def test_a_newer_readers_state_is_an_alarm_and_the_last_good_one_stays(site: Site) -> None:
    site.master.publish({"site/south": b"anything"}, reader=99)
    site.world.run(3_000)
    for node in site.nodes:
        assert "TooNew" in {alarm.kind for alarm in node.core.alarms.states()}
        assert node.core.peer.heads.state.applied.counter == 1
    assert site.serving() == 2
    site.publish(replicas=1)
    site.world.run(5_000)
    assert "TooNew" not in {a.kind for n in site.nodes for a in n.core.alarms.states()}
    assert site.serving() == 1


def test_a_poisoned_plan_is_an_alarm_and_stops_nothing(site: Site) -> None:
    site.master.publish({"site/south": SiteBranch(site="north").SerializeToString()})
    site.world.run(5_000)
    assert site.serving() == 2
    for node in site.nodes:
        assert "RefusedState" in {alarm.kind for alarm in node.core.alarms.states()}


def test_a_pipeline_goes_to_the_node_with_its_source_and_is_journalled() -> None:
    site = Site(nodes=2)
    site.nodes[1].sources = ("camera",)
    site.settle()
    door = PipelinePlan(name="door", source="camera", service="faces", every_ms=200)
    site.publish(replicas=2, pipelines=(door,))
    site.world.run(3_000)
    assert [node.core.work.pipelines for node in site.nodes] == [(), ("door",)]
    site.publish(replicas=2)
    site.world.run(3_000)
    assert [node.core.work.pipelines for node in site.nodes] == [(), ()]


def test_a_node_out_of_the_roster_is_not_missed() -> None:
    site = Site(nodes=3).settle(1)
    gone = site.nodes.pop(2)
    site.publish(replicas=1)
    site.world.run(3_000)
    gone.power_off()
    site.world.run(10_000)
    for node in site.nodes:
        assert node.core.membership.liveness.dead() == [gone.name]
        assert "Offline" not in {alarm.kind for alarm in node.core.alarms.states()}
