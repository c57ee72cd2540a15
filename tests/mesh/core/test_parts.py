"""The small parts of a node's core, each by itself."""

import pytest

from mesh.core.alarms import ALARMS_MAX, Alarms
from mesh.core.conflicts import Conflicts
from mesh.core.in_force import IN_FORCE, NO_STATE, InForce
from mesh.core.messages import (
    Run,
)
from mesh.core.outage import OutageWatch
from mesh.core.ran import Ran
from mesh.core.refusals import EVERY_MS, PEERS_MAX, Refusals
from mesh.core.runtime_view import CRASHES_ALARMED, RuntimeView
from mesh.events import Notice, SaveDocument, WriteJournal
from mesh.site.local import ReplicaKey, service_config
from protos.documents_pb2 import (
    Boot,
    Phase,
    PipelineState,
    ServiceLoad,
    ServicePlan,
    SiteBranch,
)
from protos.runtime_pb2 import PipelineStatus, ReplicaStatus, RuntimeState
from tests.mesh.core.services import status


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
    waits = ServiceLoad(workload="doors", waiting=3)
    view.update(RuntimeState(replicas=[status(Phase.SERVING)], loads=[load, waits]))
    (told,) = view.loads()
    assert (told.queue_delay_ms, told.in_flight, told.requests_per_second) == (10, 0, 20)


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        pytest.param(ServiceLoad(), 0, id="nobody asks"),
        pytest.param(ServiceLoad(requests_per_second=2), 1, id="few do"),
        pytest.param(ServiceLoad(in_flight=1), 1, id="one is at work for long"),
    ],
)
def test_any_request_at_all_is_told(load: ServiceLoad, expected: int) -> None:
    view = RuntimeView()
    load.workload = "faces"
    view.update(RuntimeState(replicas=[status(Phase.SERVING)], loads=[load]))
    assert view.loads()[0].requests_per_second == expected


def test_what_waits_is_told_by_a_runtime_that_is_there() -> None:
    view = RuntimeView()
    loads = [ServiceLoad(workload="faces", waiting=2), ServiceLoad(workload="doors")]
    view.update(RuntimeState(loads=loads))
    assert view.waiting() == {"faces"}
    view.update(None)
    assert view.waiting() == set()


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
    assert alarms.states()[-1].kind == "More"
    assert alarms.states()[-1].message.startswith("6 more")


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
    assert not force.use({}, (1, 1))
    assert force.use({"site/south": good}, (1, 1))
    assert not force.use({"site/south": SiteBranch(site="north").SerializeToString()}, (1, 2))
    assert "the last good state stays" in force.refused
    assert not force.use(
        {"site/south": SiteBranch(site="south").SerializeToString(), "revocations": b"\xff"},
        (1, 2),
    )
    assert force.counter == 1
    assert dict(force.branch.labels) == {"a": "b"}
    assert force.use({"site/south": good}, (1, 2))
    assert force.refused == ""


def test_of_a_first_state_that_does_not_hold_it_is_said_that_none_is_in_force() -> None:
    force = InForce("south")
    assert not force.use({"site/south": b"\xff"}, (1, 1))
    assert force.refused.endswith("none is in force")


def test_what_was_in_force_is_kept_and_what_is_applied_comes_before_it() -> None:
    good, newer = (
        {"site/south": SiteBranch(site="south", labels={"a": label}).SerializeToString()}
        for label in "bc"
    )
    first = InForce("south")
    first.start(b"", {}, NO_STATE)
    assert (first.branch.site, first.refused, first.save()) == ("", "", [])
    assert first.use(good, (1, 1))
    (kept,) = first.save()
    assert (kept.name, first.save()) == (IN_FORCE, [])

    again = InForce("south")
    again.start(kept.data, newer, NO_STATE)  # of a state of which not all is here
    assert (again.branch, again.counter, again.save()) == (first.branch, 1, [])
    again.start(kept.data, {"site/south": b"\xff"}, (1, 2))
    assert (again.counter, again.save()) == (1, [])
    assert "the last good state stays" in again.refused
    again.start(kept.data, newer, (1, 2))
    assert (again.counter, again.branch.labels["a"], again.refused) == (2, "c", "")
    assert [saved.name for saved in again.save()] == [IN_FORCE]
    assert again.use(newer, (2, 1))
    (kept,) = again.save()
    first.start(kept.data, {}, NO_STATE)
    assert (first.generation, first.counter) == (2, 1)


def test_a_document_of_what_was_in_force_that_is_none_is_left() -> None:
    force = InForce("south")
    force.start(b"\xff\xff", {}, NO_STATE)
    assert (force.counter, force.refused, force.save()) == (0, "", [])


def test_what_ran_is_remembered_by_configuration() -> None:
    old = ServicePlan(name="faces", model="1", artifact=b"1")
    new = ServicePlan(name="faces", model="2", artifact=b"2")
    key = ReplicaKey("faces", 0, service_config(old))
    first = Ran(b"\xff\xff")
    assert first.plan(key, new) is None
    run = Run(((key, old),), (), (), ())
    (saved,) = first.told(run)
    assert isinstance(saved, SaveDocument)
    assert first.told(run) == []
    assert Ran(saved.data).plan(key, new) == old
    newer = ReplicaKey("faces", 0, service_config(new))
    assert first.plan(newer, new) == new
    (saved,) = first.told(Run(((newer, new),), (), (), ()), serving=[key])
    assert isinstance(saved, SaveDocument)
    assert (first.plan(key, new), first.artifacts([key])) == (old, {b"1", b"2"})
    assert first.artifacts([]) == {b"2"}, "what serves no more is not used"
    again = Ran(saved.data)
    assert (again.plan(key, new), again.artifacts([])) == (old, {b"1", b"2"})
    for one in (first, again):
        one.told(Run((), (), (), ()))
        assert (one.plan(key, new), one.artifacts([key])) == (None, set())


# ---- artifacts ----


@pytest.mark.parametrize("kind", ["state", "trust"])
def test_an_equivocation_is_over_once_something_newer_is_in_force(kind: str) -> None:
    alarms = Alarms()
    conflicts = Conflicts(alarms)
    conflicts.noticed(Notice("equivocation", kind, "from n1"), 1)
    assert "sign something newer" in alarms.states()[0].message
    assert conflicts.spoke("too-new") == []
    assert len(alarms.states()) == 1
    assert len(conflicts.spoke(kind)) == 1
    assert alarms.states() == []
