"""The small parts of a node's core, each by itself."""

import pytest

from mesh.blobs.instructions import Fault
from mesh.core.alarms import ALARMS_MAX, Alarms
from mesh.core.conflicts import Conflicts
from mesh.core.in_force import InForce
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
from mesh.core.outage import OutageWatch
from mesh.core.ran import Ran
from mesh.core.refusals import EVERY_MS, PEERS_MAX, Refusals
from mesh.core.runtime_view import CRASHES_ALARMED, RuntimeView
from mesh.core.view import same_run
from mesh.events import Notice, SaveDocument, WriteJournal
from mesh.hashing import sha256
from mesh.site.local import ReplicaKey, service_config
from protos.documents_pb2 import (
    Boot,
    Phase,
    PipelinePlan,
    PipelineState,
    ReplicaState,
    ServiceLoad,
    ServicePlan,
    SiteBranch,
)
from protos.runtime_pb2 import PipelineStatus, ReplicaStatus, RuntimeState
from tests.sim.site import Site, face_detector


def status(phase: Phase, pid: int = 1, reason: str = "") -> ReplicaStatus:
    state = ReplicaState(workload="faces", config="c", phase=phase, reason=reason)
    return ReplicaStatus(state=state, pid=pid)


def events(view: RuntimeView, *replicas: ReplicaStatus, pipelines: tuple = ()) -> list[str]:
    state = RuntimeState(replicas=replicas, pipelines=pipelines)
    return [change.event for change in view.update(state)]


# ---- the runtime's word ----


def test_what_changes_in_the_runtime_is_told_once() -> None:
    view = RuntimeView()
    assert view.update(None) == []
    assert events(view, status(Phase.LOADING)) == ["runtime.present", "workload.loading"]
    assert events(view, status(Phase.LOADING)) == []
    assert events(view, status(Phase.SERVING)) == ["workload.serving"]
    assert view.serving() == view.keys() == [ReplicaKey("faces", 0, "c")]
    assert events(view, status(Phase.SERVING, pid=2)) == ["workload.serving"]
    assert events(view) == ["workload.stopped"]
    (gone,) = view.update(None)
    assert gone.event == "runtime.gone"
    assert view.serving() == []


def test_a_workload_that_fails_again_and_again_is_alarmed_until_it_serves() -> None:
    view = RuntimeView()
    for attempt in range(CRASHES_ALARMED):
        assert view.crashing() == {}
        events(view, status(Phase.FAILED, reason="out of memory"))
        events(view, status(Phase.LOADING, pid=attempt))
    assert "3 times in a row" in view.crashing()["faces"]
    events(view, status(Phase.SERVING))
    assert view.crashing() == {}


def test_a_refused_version_says_why() -> None:
    view = RuntimeView()
    events(view, status(Phase.REFUSED, reason="its golden outputs are wrong"))
    assert view.refused() == {"faces": "its golden outputs are wrong"}


def test_pipelines_are_told_too() -> None:
    view = RuntimeView()
    door = PipelineStatus(state=PipelineState(workload="door", phase=Phase.SERVING), pid=3)
    assert events(view, pipelines=(door,))[1:] == ["pipeline.serving"]
    assert events(view, pipelines=(door,)) == []
    assert events(view) == ["pipeline.stopped"]


def test_loads_are_quantised() -> None:
    view = RuntimeView()
    load = ServiceLoad(workload="faces", queue_delay_ms=13, in_flight=4, requests_per_second=27)
    view.update(RuntimeState(loads=[load]))
    (told,) = view.loads()
    assert (told.queue_delay_ms, told.in_flight, told.requests_per_second) == (10, 0, 20)


# ---- alarms, refusals, conflicts, outage ----


def test_an_alarm_is_journalled_when_it_begins_and_ends() -> None:
    alarms = Alarms()
    assert len(alarms.set("Disk", "a", "full", "critical", 1)) == 1
    assert alarms.set("Disk", "a", "full", "critical", 2) == []
    assert len(alarms.clear("Disk", "a", "room again")) == 1
    assert alarms.clear("Disk", "a", "room again") == []
    for number in range(ALARMS_MAX + 5):
        alarms.set("Disk", str(number), "full", "critical", 1)
    assert len(alarms.states()) == ALARMS_MAX


def test_refusals_are_told_at_once_then_counted() -> None:
    refusals = Refusals()
    (first,) = refusals.refused("n1", "bad", 0)
    assert isinstance(first, WriteJournal)
    assert refusals.refused("n1", "worse", 1) == []
    assert refusals.refused("n1", "worst", 2) == []
    assert refusals.tick(EVERY_MS - 1) == []
    (summed,) = refusals.tick(EVERY_MS)
    assert isinstance(summed, WriteJournal)
    assert (summed.cause, summed.fields) == ("worst", {"count": "2"})
    assert refusals.tick(EVERY_MS * 2) == []
    assert len(refusals.refused("n1", "bad", EVERY_MS * 2)) == 1


def test_refusals_of_many_are_counted_together() -> None:
    refusals = Refusals()
    for number in range(PEERS_MAX):
        refusals.refused(f"n{number}", "bad", 0)
    (one,) = refusals.refused("one more", "bad", 0)
    assert isinstance(one, WriteJournal)
    assert one.subject == "others"


def test_a_boot_floor_is_written_once_and_only_upward() -> None:
    conflicts = Conflicts(Alarms())

    def noticed(counter: int) -> list[str]:
        boot = Boot(counter=counter, nonce=b"12345678")
        found = conflicts.noticed(Notice("boot", "me", "seen", boot), 1)
        return [i.name for i in found if isinstance(i, SaveDocument)]

    assert [noticed(5), noticed(5), noticed(4), noticed(6)] == [
        ["boot-floor"],
        [],
        [],
        ["boot-floor"],
    ]


@pytest.mark.parametrize("kind", ["equivocation", "fork"])
def test_other_conflicts_are_alarms(kind: str) -> None:
    alarms = Alarms()
    Conflicts(alarms).noticed(Notice(kind, "x", "from n1"), 1)
    assert len(alarms.states()) == 1


def test_an_outage_begins_after_a_grace_and_ends_at_once() -> None:
    watch, alarms = OutageWatch(0), Alarms()
    began = [bool(watch.watch(None, "s", alarms, 1, at)) for at in range(0, 10_000, 1_000)]
    assert began.count(True) == 1
    assert [type(i) for i in watch.watch("n1", "s", alarms, 1, 10_000)] == [WriteJournal] * 2
    assert watch.watch("n1", "s", alarms, 1, 10_001) == []
    assert OutageWatch(0).watch("n1", "s", alarms, 1, 0) == []


# ---- what is in force, what ran ----


def test_a_branch_that_does_not_hold_leaves_the_last_good_one() -> None:
    force = InForce("south")
    good = SiteBranch(site="south", labels={"a": "b"}).SerializeToString()
    assert not force.use({}, 1)
    assert force.use({"site/south": good}, 1)
    assert not force.use({"site/south": SiteBranch(site="north").SerializeToString()}, 2)
    assert "the last good state stays" in force.refused
    assert not force.use(
        {"site/south": SiteBranch(site="south").SerializeToString(), "revocations": b"\xff"},
        2,
    )
    assert force.counter == 1
    assert dict(force.branch.labels) == {"a": "b"}
    assert force.use({"site/south": good}, 2)
    assert force.refused == ""


def test_what_ran_is_remembered_by_configuration() -> None:
    old, new = ServicePlan(name="faces", model="1"), ServicePlan(name="faces", model="2")
    key = ReplicaKey("faces", 0, service_config(old))
    first = Ran(b"\xff\xff")
    assert first.plan(key, new) is None
    run = Run(((key, old),), (), (), ())
    (saved,) = first.told(run)
    assert isinstance(saved, SaveDocument)
    assert first.told(run) == []
    assert Ran(saved.data).plan(key, new) == old
    assert first.plan(ReplicaKey("faces", 0, service_config(new)), new) == new


# ---- artifacts ----


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


def test_the_runtime_is_told_of_a_revocation_that_changes_nothing_else() -> None:
    one = Run((), (), (), (), "one cause")
    assert same_run(one, Run((), (), (), (), "another"))
    assert not same_run(one, Run((), (), (), (), "one cause", (b"k" * 32,)))


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
