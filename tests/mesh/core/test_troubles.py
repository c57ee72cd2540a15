"""What a node keeps of its troubles over a restart of its agent, and how often it writes that."""

from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from mesh.core.messages import Trouble
from mesh.core.node import NodeCore
from mesh.core.quarantine import WITHIN_MS
from mesh.core.troubles import (
    AT_ONCE,
    LOOK_EVERY_MS,
    SAVE_EVERY_MS,
    TIMES_EVERY_MS,
    TROUBLES,
    Troubles,
    of_node,
)
from mesh.events import SaveDocument, WriteJournal
from protos.documents_pb2 import Phase, ReplicaState
from protos.runtime_pb2 import ReplicaStatus, RuntimeState
from protos.troubles_pb2 import KeptTroubles
from tests.sim.nodes import SimNode
from tests.sim.site import Site

TICK_MS = 200


def journalled(node: SimNode, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that the node journals from now on."""
    events: list[str] = []
    write = node.do_WriteJournal

    def note(entry: WriteJournal) -> None:
        events.append(entry.event)
        write(entry)

    monkeypatch.setattr(node, "do_WriteJournal", note)
    return events


def tick(troubles: Troubles, core: NodeCore, now_ms: int) -> list[Any]:
    """What is to be done at a tick of the core."""
    return [*troubles.tick(partial(of_node, core), core.alarms.generation, now_ms)]


def written(troubles: Troubles, core: NodeCore, first_ms: int, last_ms: int) -> list[int]:
    """When a document is written, of ticks between the two times."""
    return [now for now in range(first_ms, last_ms, TICK_MS) if tick(troubles, core, now)]


def kept(instructions: list[Any]) -> KeptTroubles:
    """What is written down, by the one instruction."""
    (saved,) = instructions
    assert isinstance(saved, SaveDocument)
    return KeptTroubles.FromString(saved.data)


def crashed(core: NodeCore, at_ms: int, *restarts: int) -> None:
    """The runtime says so of as many services, each of which serves."""
    core.quarantine.heard(
        RuntimeState(
            replicas=[
                ReplicaStatus(
                    state=ReplicaState(workload=f"s{number}", config="c", phase=Phase.SERVING),
                    restarts=times,
                )
                for number, times in enumerate(restarts)
            ]
        ),
        at_ms,
    )


@pytest.fixture
def core() -> NodeCore:
    """Of a node that nothing is amiss with."""
    (node,) = Site(1).settle(1).nodes
    return node.core


def test_an_alarm_goes_on_after_the_agent_started_anew() -> None:
    site = Site(2).settle()
    node, other = site.nodes
    other.power_off()
    site.world.run(SAVE_EVERY_MS)
    (before,) = [a for a in node.core.alarms.states() if a.kind == "Offline"]
    site.world.run(SAVE_EVERY_MS)
    node.restart_agent()
    site.world.run(SAVE_EVERY_MS)
    (after,) = [a for a in node.core.alarms.states() if a.kind == "Offline"]
    assert (after.since_unix_ms, after.count) == (before.since_unix_ms, 1)


def test_an_agent_that_dies_does_not_tell_twice_that_an_alarm_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    events = journalled(node, monkeypatch)
    for message in ("full", ""):
        node.feed(Trouble("Disk", "a", message, "critical"))
        site.world.run(1_000)
    node.restart_agent()
    site.world.run(130_000)
    assert [one for one in events if one.startswith("alarm.")] == ["alarm.set", "alarm.cleared"]


def test_an_agent_that_dies_knows_what_it_has_quarantined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    events = journalled(node, monkeypatch)
    node.broken.add("1.0.0")
    node.lose_runtime()
    site.world.run_until(lambda: bool(node.core.quarantine.subjects), 90_000)
    site.world.run(500)
    node.restart_agent()
    site.world.run(60_000)
    assert events.count("workload.quarantined") == 1
    assert node.core.quarantine.subjects


def test_an_agent_that_ends_as_planned_keeps_it_at_once() -> None:
    site = Site(1).settle(1)
    (node,) = site.nodes
    site.world.run(SAVE_EVERY_MS)
    node.core.alarms.set("Disk", "a", "full", "critical", 7)
    node.leave()
    kept = KeptTroubles.FromString(node.disk.documents[TROUBLES])
    assert [(one.kind, one.since_unix_ms) for one in kept.active] == [("Disk", 7)]


def test_what_is_journalled_is_written_at_once_and_counts_once_in_a_while(core: NodeCore) -> None:
    troubles = Troubles(b"", 0)
    assert tick(troubles, core, 0) == []
    core.alarms.set("Disk", "a", "full", "critical", 1)
    assert kept(tick(troubles, core, 1)).active[0].subject == "a"
    assert written(troubles, core, 2, WITHIN_MS) == []
    crashed(core, WITHIN_MS, 0)
    crashed(core, WITHIN_MS, 1)
    (quarantined,) = written(troubles, core, WITHIN_MS, WITHIN_MS + SAVE_EVERY_MS)
    assert quarantined < WITHIN_MS + LOOK_EVERY_MS
    crashed(core, quarantined, 2)
    (counted,) = written(troubles, core, quarantined, quarantined + TIMES_EVERY_MS)
    assert 0 <= counted - (quarantined + SAVE_EVERY_MS) < LOOK_EVERY_MS


def test_what_comes_and_goes_does_not_wear_the_disk(core: NodeCore) -> None:
    troubles, times = Troubles(b"", 0), []
    for now_ms in range(0, 10 * SAVE_EVERY_MS, TICK_MS):
        if not core.alarms.clear("Disk", "a", "room again"):
            core.alarms.set("Disk", "a", "full", "critical", 1)
        times += [now_ms] if tick(troubles, core, now_ms) else []
    first = [n * TICK_MS for n in range(AT_ONCE)]
    assert times == first + [n * SAVE_EVERY_MS for n in range(1, 10)]


def test_times_are_written_once_a_minute_for_all_that_crashed(core: NodeCore) -> None:
    troubles = Troubles(b"", 0)
    for times in range(4):
        for number in range(4):
            restarts = [times + (other < number) for other in range(4)]
            crashed(core, 7_000 * times + 1_300 * number, *restarts)
    times = written(troubles, core, 30_000, 30_000 + 2 * WITHIN_MS)
    assert len(times) <= WITHIN_MS // TIMES_EVERY_MS + 1
    assert all(b - a >= TIMES_EVERY_MS for a, b in pairwise(times))
    assert not troubles.kept.crashes


def test_an_agent_that_dies_has_lived_until_it_would_have_written_again(core: NodeCore) -> None:
    troubles = Troubles(b"", 0)
    crashed(core, 0, 0)
    crashed(core, 0, 1)
    assert kept(tick(troubles, core, 5_000)).ended_ms == 5_000 + TIMES_EVERY_MS
    assert kept(troubles.save(partial(of_node, core), 7_000)).ended_ms == 7_000, "as planned"


def test_times_of_an_earlier_start_are_written_anew(core: NodeCore) -> None:
    """Each start counts at least the time until the next writing, however short it lives."""
    troubles = Troubles(b"", 0)
    crashed(core, 0, 0)
    crashed(core, 0, 1)
    (saved,) = tick(troubles, core, 0)
    assert isinstance(saved, SaveDocument)
    assert kept(tick(Troubles(saved.data, 9_000), core, 9_000)).ended_ms == 9_000 + TIMES_EVERY_MS


def test_what_another_release_kept_says_nothing() -> None:
    assert Troubles(b"\xff", 0).kept == KeptTroubles()
