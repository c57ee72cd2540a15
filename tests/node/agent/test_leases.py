"""An exclusive pipeline with `onSplit: stop` on real nodes: of its processes one acts at most."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh.site.leases import LEASE_MS
from tests.node.agent.lab import MASTER, Lab, alive, wait_for

VIDEO = Path(__file__).parents[3] / "docs" / "examples" / "face-detector" / "entrance.mp4"
SOURCE = f'[sources.camera]\nurl = "{VIDEO}"\n'
DOOR = """apiVersion: mesh/v1
kind: Pipeline
metadata: {name: door}
spec:
  sites: [north]
  source: camera
  service: adder
  every: 200ms
  journal: {onChange: true, summaryEvery: 1s}
  exclusive: true
"""
LONG_S = 60.0
"""A lease and a margin, for each of two takeovers, on a busy machine."""


@pytest.fixture(scope="module")
def site() -> Iterator[Lab]:
    """Three nodes with a camera each, and a door that one of them watches."""
    folder = Path(tempfile.mkdtemp(prefix="lab"))
    lab = Lab(folder)
    try:
        lab.make_mesh()
        for name in ("a", "b", "c"):
            lab.add_node(name, more=SOURCE)
            lab.start(name, wait=False)
        for name in lab.nodes:
            lab.wait_ready(name)
        lab.apply(replicas=1)
        lab.client(MASTER).apply(DOOR.encode(), "-", False)
        yield lab
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def doors(lab: Lab) -> dict[str, set[int]]:
    """The processes of the door, by node."""
    found = {name: lab.pids(name, "pipeline") for name in lab.nodes}
    return {name: pids for name, pids in found.items() if pids}


def wait_owner(lab: Lab) -> tuple[str, int]:
    """Until one process of the door runs and goes on telling: its node and its id."""
    seen: dict[int, int] = {}

    def tells() -> tuple[str, int] | None:
        running = [(name, pid) for name, pids in doors(lab).items() for pid in pids]
        if len(running) != 1:
            return None
        name, pid = running[0]
        told = len(entries(lab, name))
        return running[0] if told > seen.setdefault(pid, told) + 1 else None

    wait_for("one process watches the door", tells, lambda: doors(lab), LONG_S)
    owner = tells()
    assert owner is not None
    return owner


def entries(lab: Lab, name: str) -> list[dict[str, Any]]:
    """What the door told on a node, as that node's journal has it."""
    found = lab.try_get(name, "events", name)
    return [e for e in found if e["subject"] == "door" and e["event"] == "detection.summary"]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP to a process, and SIGCONT afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_explain_says_who_holds_the_lease_by_whose_word_and_until_when(site: Lab) -> None:
    name, _ = wait_owner(site)
    for asked in site.nodes:
        found = json.loads(site.meshctl("explain", "door", "-o", "json", *site.at(asked)))
        lease = found["lease"]
        assert lease["holder"] == name
        assert set(lease["acknowledged"]) <= set(site.nodes)
        assert len(lease["acknowledged"]) >= 2
        assert 0 <= lease["seconds_left"] <= LEASE_MS / 1000
        assert found["pending"] == ""
        assert (lease["roster"], lease["earlier_rosters"], lease["why_nobody"]) == (3, [], "")
        (described,) = json.loads(
            site.meshctl("describe", "pipeline", "door", "-o", "json", *site.at(asked))
        )
        assert described["spec"] | {"exclusive": True, "onSplit": "stop"} == described["spec"]
        assert described["lease"]["holder"] == name
    (at_master,) = json.loads(site.meshctl("describe", "pipeline", "door", "-o", "json"))
    assert at_master["lease_holders"] == {"north": name}
    text = site.meshctl("explain", "door", *site.at(name))
    assert f"{name} holds it, acknowledged by" in text
    assert "left unless it is renewed" in text


def test_a_frozen_agent_loses_the_door_before_another_begins(site: Lab) -> None:
    name, pid = wait_owner(site)
    (agent,) = site.pids(name, "agent")
    with stopped(agent):
        others = set(site.nodes) - {name}
        wait_for("another watches it", lambda: set(doors(site)) & others, seconds=LONG_S)
        assert not alive(pid)
        (other,) = set(doors(site)) & others
        wait_for("the other tells", lambda: entries(site, other), seconds=LONG_S)
        first = min(e["time"] for e in entries(site, other))
    wait_for("it answers again", lambda: site.try_get(name, "status"), seconds=LONG_S)
    wait_owner(site)
    told = [e["time"] for e in entries(site, name)]
    before = [at for at in told if at < first]
    assert before
    after = [at for at in told if at >= first]
    assert not after or min(after) > max(
        e["time"] for e in entries(site, other) if e["time"] < min(after)
    )


def test_a_frozen_runtime_does_not_keep_the_door_alive(site: Lab) -> None:
    name, pid = wait_owner(site)
    (runtime,) = site.pids(name, "runtime")
    os.kill(runtime, signal.SIGSTOP)  # the agent kills it in the end
    wait_for("another process watches it",
        lambda: [p for pids in doors(site).values() for p in pids if p != pid], seconds=LONG_S,
    )  # fmt: skip
    assert not alive(pid)
    assert wait_owner(site)[1] != pid


def test_a_process_that_was_stopped_acts_no_more_when_it_goes_on(site: Lab) -> None:
    name, pid = wait_owner(site)
    (agent,) = site.pids(name, "agent")
    (runtime,) = site.pids(name, "runtime")
    others = set(site.nodes) - {name}
    with stopped(runtime), stopped(agent):
        with stopped(pid):
            wait_for("another watches it", lambda: set(doors(site)) & others, seconds=LONG_S)
        wait_for("the old one is gone", lambda: not alive(pid))
    wait_owner(site)
