"""What crashes on a node again and again: when it is quarantined there, and when that ends."""

import pytest

from mesh.core.quarantine import CRASHES_MAX, LASTS_MS, WITHIN_MS, Quarantine
from mesh.events import Instruction, WriteJournal
from mesh.site.configs import service_config
from protos.documents_pb2 import Phase, ReplicaState, ServicePlan
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from protos.troubles_pb2 import KeptCrashes, KeptQuarantine, KeptTroubles
from tests.mesh.core.services import faces

SERVICE = faces()
CONFIG = service_config(SERVICE)
SUBJECT = ("faces", CONFIG)
MINUTE_MS = 60_000


def state(
    restarts: int, phase: Phase = Phase.LOADING, index: int = 0, config: str = CONFIG
) -> RuntimeState:
    replica = ReplicaState(workload="faces", index=index, config=config, phase=phase)
    replica.reason = "the worker ended: signal 9" if phase == Phase.FAILED else ""
    return RuntimeState(replicas=[ReplicaStatus(state=replica, restarts=restarts)])


def crashed(
    quarantine: Quarantine, times: int = CRASHES_MAX, every_ms: int = 1_000, serves: bool = True
) -> int:
    """So many crashes, of what served before each of them; returns the time of the last."""
    quarantine.heard(state(0), 0)
    for restarts in range(times):
        if serves:
            quarantine.heard(state(restarts, Phase.SERVING), restarts * every_ms + 500)
        quarantine.heard(state(restarts, Phase.FAILED), (restarts + 1) * every_ms)
        quarantine.heard(state(restarts + 1), (restarts + 1) * every_ms + 10)
    return times * every_ms


def events(instructions: list[Instruction]) -> list[str]:
    return [i.event for i in instructions if isinstance(i, WriteJournal)]


@pytest.mark.parametrize(
    ("times", "every_ms", "held"),
    [
        (CRASHES_MAX, 1_000, True),
        (CRASHES_MAX - 1, 1_000, False),
        (CRASHES_MAX, WITHIN_MS // (CRASHES_MAX - 1), True),
        (3 * CRASHES_MAX, WITHIN_MS // (CRASHES_MAX - 1) + 1, False),
    ],
    ids=["often", "not often enough", "just within the time", "rarely, for ever"],
)
def test_so_many_crashes_within_the_time(times: int, every_ms: int, held: bool) -> None:
    quarantine = Quarantine()
    crashed(quarantine, times, every_ms)
    assert (SUBJECT in quarantine.subjects) is held
    assert bool(quarantine.alarms()) is held


@pytest.mark.parametrize("every_ms", [1_000, WITHIN_MS, LASTS_MS])
def test_what_never_serves_is_held_however_long_each_try_takes(every_ms: int) -> None:
    quarantine = Quarantine()
    crashed(quarantine, CRASHES_MAX - 1, every_ms, serves=False)
    assert not quarantine.subjects
    quarantine.heard(state(CRASHES_MAX), CRASHES_MAX * every_ms)
    assert quarantine.subjects == {SUBJECT}
    assert "in a row" in quarantine.alarms()["faces"]


def test_tries_in_vain_are_counted_anew_once_it_served() -> None:
    quarantine = Quarantine()
    crashed(quarantine, CRASHES_MAX - 1, LASTS_MS, serves=False)
    now = CRASHES_MAX * LASTS_MS
    quarantine.heard(state(CRASHES_MAX - 1, Phase.SERVING), now)
    for restarts in range(CRASHES_MAX, 2 * CRASHES_MAX - 1):
        now += LASTS_MS
        quarantine.heard(state(restarts), now)
    assert not quarantine.subjects


def test_crashes_that_nobody_saw_are_counted_by_the_restarts() -> None:
    quarantine = Quarantine()
    quarantine.heard(state(0), 0)
    (entry,) = quarantine.heard(state(CRASHES_MAX), 10)
    assert events([entry]) == ["workload.quarantined"]
    assert quarantine.heard(state(2 * CRASHES_MAX), 20) == [], "it is quarantined already"


def test_what_was_before_an_agent_or_a_replica_began_is_not_counted() -> None:
    quarantine = Quarantine()
    quarantine.heard(state(100, Phase.FAILED), 0)
    assert not quarantine.subjects
    crashed(quarantine, CRASHES_MAX - 1)
    quarantine.heard(RuntimeState(), 10_000)
    quarantine.heard(state(50), 10_001)
    quarantine.heard(state(51), 10_002)
    assert not quarantine.subjects


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.SERVING])
def test_a_runtime_that_goes_away_is_an_end_of_all_that_ran(phase: Phase) -> None:
    quarantine = Quarantine()
    for losses in range(CRASHES_MAX):
        assert not quarantine.subjects
        quarantine.heard(RuntimeState(), losses * 1_000)
        quarantine.heard(state(0, phase), losses * 1_000 + 500)
        quarantine.heard(None, losses * 1_000 + 900)
        quarantine.heard(None, losses * 1_000 + 950)  # as long as it is away
    assert quarantine.subjects == {SUBJECT}
    assert "the runtime went away" in quarantine.alarms()["faces"]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.REFUSED])
def test_what_had_no_worker_did_not_end_with_its_runtime(phase: Phase) -> None:
    quarantine = Quarantine()
    for losses in range(2 * CRASHES_MAX):
        quarantine.heard(state(0, phase), losses * 1_000)
        quarantine.heard(None, losses * 1_000 + 900)
    assert not quarantine.subjects


@pytest.mark.parametrize("every_ms", [WITHIN_MS // (CRASHES_MAX - 1) + 1, WITHIN_MS])
def test_a_runtime_that_is_started_anew_now_and_then_quarantines_nothing(every_ms: int) -> None:
    quarantine = Quarantine()
    for losses in range(3 * CRASHES_MAX):
        quarantine.heard(RuntimeState(), losses * every_ms)
        quarantine.heard(state(0, Phase.SERVING), losses * every_ms + 500)
        quarantine.heard(None, losses * every_ms + 1_000)
    assert not quarantine.subjects


def test_each_replica_is_counted_for_itself() -> None:
    quarantine = Quarantine()
    both = [state(0), state(0, index=1)]
    for crashes in range(CRASHES_MAX):
        replicas = [status for one in both for status in one.replicas]
        for status in replicas:
            status.restarts = crashes
        quarantine.heard(RuntimeState(replicas=replicas), crashes)
    assert not quarantine.subjects, "a machine that loses all its workers at once, now and then"


@pytest.mark.parametrize(
    ("services", "after_ms", "over"),
    [
        ([SERVICE], LASTS_MS - 1, False),
        ([SERVICE], LASTS_MS, True),
        ([faces("3"), SERVICE], 1, False),
        ([faces("3")], 1, True),
        ([], 1, True),
    ],
    ids=["not yet", "its time is over", "still configured", "another version", "deleted"],
)
def test_when_it_ends(services: list[ServicePlan], after_ms: int, over: bool) -> None:
    quarantine = Quarantine()
    now = crashed(quarantine) + after_ms
    assert quarantine.is_due(now) is (after_ms >= LASTS_MS)
    assert events(quarantine.look(services, now)) == ["workload.unquarantined"] * over
    assert (SUBJECT not in quarantine.subjects) is over


def test_it_lasts_on_while_it_crashes_on() -> None:
    quarantine = Quarantine()
    crashed(quarantine, 2 * CRASHES_MAX)
    assert quarantine.look([SERVICE], CRASHES_MAX * 1_000 + LASTS_MS) == []


def test_an_operator_who_restarts_the_service_ends_it() -> None:
    quarantine = Quarantine()
    crashed(quarantine, 2 * CRASHES_MAX - 1)
    assert quarantine.restarted("doors") == []
    assert events(quarantine.restarted("faces")) == ["workload.unquarantined"]
    quarantine.heard(state(2 * CRASHES_MAX), 20_000)
    assert not quarantine.subjects, "it begins anew"


def test_the_register_says_it_of_what_runs_and_of_what_does_not() -> None:
    quarantine = Quarantine()
    crashed(quarantine)
    runs = ReplicaState(workload="faces", config=CONFIG, phase=Phase.LOADING)
    other = ReplicaState(workload="faces", config="another", phase=Phase.SERVING)
    told = quarantine.told([runs, other])
    assert [(one.config, one.quarantined) for one in told] == [(CONFIG, True), ("another", False)]
    assert not runs.quarantined, "the runtime's own word is left as it is"
    (_, alone) = quarantine.told([other])
    assert (alone.workload, alone.config, alone.quarantined) == ("faces", CONFIG, True)
    assert alone.phase == Phase.FETCHING, "an older release does not take it for one that runs"


def again(quarantine: Quarantine, ended_ms: int, now_ms: int = 0) -> Quarantine:
    """After a restart of the agent, whose clock begins at `now_ms`."""
    held, crashes = quarantine.kept(ended_ms)
    kept = KeptTroubles(quarantined=held, crashes=crashes, ended_ms=ended_ms)
    return Quarantine(kept, now_ms)


def test_a_quarantine_outlives_the_agent_and_lasts_no_longer_for_it() -> None:
    quarantine = Quarantine()
    now = crashed(quarantine)
    quarantine = again(quarantine, now + 20 * MINUTE_MS)
    assert quarantine.subjects == {SUBJECT}
    left_ms = LASTS_MS - 20 * MINUTE_MS
    assert quarantine.look([SERVICE], left_ms - 1) == []
    assert events(quarantine.look([SERVICE], left_ms)) == ["workload.unquarantined"]
    assert quarantine.kept(left_ms) == ([], [])


def test_a_quarantine_lasts_no_longer_for_any_number_of_restarts() -> None:
    quarantine = Quarantine()
    began = now = crashed(quarantine)
    while not quarantine.is_due(now):
        quarantine, now = again(quarantine, now + 40_123, now + 40_123), now + 40_123
        assert now <= began + LASTS_MS + 40_123
    assert now >= began + LASTS_MS


def test_crashes_grow_old_over_any_number_of_restarts() -> None:
    quarantine = Quarantine()
    now = crashed(quarantine, CRASHES_MAX - 1)
    for _ in range(WITHIN_MS // 40_123 + 1):
        assert quarantine.kept(now)[1]
        now += 40_123
        quarantine = again(quarantine, now, now)
        quarantine.heard(state(CRASHES_MAX - 1, Phase.SERVING), now)
    assert quarantine.kept(now) == ([], [])


@pytest.mark.parametrize("serves", [True, False], ids=["it served between", "in a row"])
def test_crashes_are_counted_on_after_the_machine_started_anew(serves: bool) -> None:
    """A runtime that starts with the agent names nothing at first."""
    quarantine = Quarantine()
    now = crashed(quarantine, CRASHES_MAX - 1, serves=serves)
    quarantine = again(quarantine, now, 5_000)
    quarantine.heard(None, 5_001)
    quarantine.heard(RuntimeState(), 5_400)
    quarantine.heard(state(0), 6_000)
    assert not quarantine.subjects
    quarantine.heard(state(1), 7_000)
    assert quarantine.subjects == {SUBJECT}


@pytest.mark.parametrize("far", [-(2**63), 2**63 - 1])
def test_times_of_a_damaged_document_are_bounded(far: int) -> None:
    held = KeptQuarantine(workload="faces", config=CONFIG, until_ms=far)
    crashes = KeptCrashes(workload="faces", config=CONFIG, at_ms=[far])
    for ended_ms in (-far - 1, far):
        kept = KeptTroubles(quarantined=[held], crashes=[crashes], ended_ms=ended_ms)
        quarantine = Quarantine(kept, 7)
        assert quarantine.is_due(7 + LASTS_MS)
        assert all(0 <= one.until_ms <= 7 + LASTS_MS for one in quarantine.kept(7)[0])
        assert all(list(one.at_ms) == [7] for one in quarantine.kept(7)[1])


@pytest.mark.parametrize("serves", [True, False], ids=["it served between", "in a row"])
def test_crashes_are_counted_on_after_the_agent_started_anew(serves: bool) -> None:
    quarantine = Quarantine()
    now = crashed(quarantine, CRASHES_MAX - 1, serves=serves)
    quarantine = again(quarantine, now + MINUTE_MS)
    quarantine.heard(state(CRASHES_MAX - 1), 0)
    assert not quarantine.subjects
    quarantine.heard(state(CRASHES_MAX), 1)
    assert quarantine.subjects == {SUBJECT}


def test_crashes_of_long_ago_are_not_kept() -> None:
    quarantine = Quarantine()
    now = crashed(quarantine, CRASHES_MAX - 1)
    quarantine.heard(state(CRASHES_MAX - 1, Phase.SERVING), now + 1)
    assert quarantine.kept(now + WITHIN_MS + MINUTE_MS) == ([], [])
