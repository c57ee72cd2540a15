"""Alarms in a real mesh: a worker that dies again and again, a runtime that freezes, a node that is
not reached."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.core.quarantine import CRASHES_MAX
from node.agent.runtime_client import OTHERS_DO_IT
from tests.node.agent.lab import MASTER, SERVICE, Lab, wait_for


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.make_mesh()
    for name in ("a", "b"):
        lab.add_node(name)
        lab.start(name)
    lab.apply(replicas=1)
    lab.wait_serving(MASTER, 1)
    yield lab
    lab.close()


def crash(lab: Lab, name: str) -> None:
    """Kills each worker that the node starts, until it starts no more."""
    killed: set[int] = set()

    def ended() -> bool:
        for pid in lab.pids(name, "worker") - killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        return len(killed) >= CRASHES_MAX

    wait_for(f"{CRASHES_MAX} workers of {name} are killed", ended, lambda: killed)


def crash_loop(lab: Lab, name: str) -> list[tuple[int, int]]:
    """Since when, and how often, as the node itself says."""
    return [(one["since"], one["count"]) for one in lab.try_get(name, "alarms", "CrashLoop")]


def test_a_worker_that_dies_again_and_again_is_replaced_elsewhere_and_all_is_said(
    lab: Lab,
) -> None:
    (bad,) = lab.serving(MASTER)
    (good,) = {"a", "b"} - {bad}
    crash(lab, bad)
    wait_for(
        "it serves on the other node",
        lambda: set(lab.serving(good)) == {good},
        lambda: lab.try_get(good, "workloads"),
    )
    for asked in (bad, good, MASTER):
        wait_for("an alarm", lambda at=asked: lab.try_get(at, "alarms", "CrashLoop"))
    told = lab.meshctl("alarms", "--kind", "CrashLoop", *lab.at(good))
    assert f"{SERVICE}" in told
    assert f"{CRASHES_MAX} crashes within 10 min" in told
    assert "quarantined" in lab.meshctl("get", "workloads", *lab.at(good))
    events = {event["event"] for event in lab.get(bad, "events")}
    assert "workload.quarantined" in events
    before = crash_loop(lab, bad)
    process = lab.nodes[bad].process
    assert process is not None
    process.terminate()
    assert process.wait(20) == 0
    lab.start(bad)
    wait_for("it is the same alarm", lambda: crash_loop(lab, bad) == before)
    assert set(lab.serving(good)) == {good}

    said = lab.meshctl("restart", SERVICE, *lab.at(bad))
    assert said == f"{SERVICE}: none runs on {bad} now; it is quarantined there no more\n"
    wait_for("the alarm is over", lambda: not lab.try_get(good, "alarms", "CrashLoop"))
    wait_for("it is back", lambda: set(lab.serving(good)) == {bad}, lambda: lab.serving(good))


def _said_of_runtime(lab: Lab, asked: str) -> bool:
    """Whether a node shows that a runtime is gone, and what becomes of its work."""
    return any(OTHERS_DO_IT in a["message"] for a in lab.try_get(asked, "alarms", "Runtime"))


def test_what_a_frozen_runtime_ran_serves_elsewhere_until_it_answers_again(lab: Lab) -> None:
    (bad,) = lab.serving(MASTER)
    (good,) = {"a", "b"} - {bad}
    (runtime,) = lab.pids(bad, "runtime")
    os.kill(runtime, signal.SIGSTOP)  # its agent kills it in the end, and starts another
    wait_for("an alarm", lambda: _said_of_runtime(lab, good), lambda: lab.try_get(good, "alarms"))
    wait_for(
        "it serves on the other node",
        lambda: set(lab.serving(good)) == {good},
        lambda: lab.try_get(good, "workloads"),
    )
    wait_for("it is back", lambda: set(lab.serving(good)) == {bad}, lambda: lab.serving(good))
    wait_for("the alarm is over", lambda: not lab.try_get(good, "alarms", "Runtime"))


def test_what_a_node_said_last_is_shown_as_that(lab: Lab) -> None:
    (bad,) = lab.serving(MASTER)
    (good,) = {"a", "b"} - {bad}
    crash(lab, bad)
    wait_for("an alarm", lambda: lab.try_get(good, "alarms", "CrashLoop"))
    lab.kill_node(bad)
    wait_for("it is dead", lambda: lab.try_get(good, "alarms", "Offline"))
    for asked in (good, MASTER):
        wait_for(
            "it is the last known",
            lambda at=asked: (
                [one["heard"] for one in lab.try_get(at, "alarms", "CrashLoop")] == ["last known"]
            ),
            lambda at=asked: lab.try_get(at, "alarms"),
        )
    (offline,) = lab.get(MASTER, "alarms", "Offline")
    assert (offline["subject"], offline["heard"], offline["count"]) == (bad, "now", 1)
