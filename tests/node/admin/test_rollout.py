"""`meshctl rollout`: what it shows of versions on their way, and of what became of them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.admin.support import MemoryBackend, World, master_at, serving

ROLLOUTS = [
    {"service": "faces", "site": "north", "node": "north-a", "runs": ["1.0.0"], "wants": "1.1.0",
     "stage": "refused", "why": "golden check: 2 instead of 7"},
    {"service": "faces", "site": "north", "node": "north-b", "runs": ["1.0.0"], "wants": "1.1.0",
     "stage": "old", "why": "waits for north-a"},
]  # fmt: skip


def event(name: str, subject: str = "faces", sequence: int = 1) -> dict[str, object]:
    return {
        "time": 1_700_000_000_000 + sequence,
        "node": "north-a",
        "boot": 1,
        "sequence": sequence,
        "event": name,
        "subject": subject,
        "cause": f"why of {name}",
        "fields": {},
    }


EVENTS = [
    event("workload.serving", sequence=1),
    event("workload.loading", sequence=2),
    event("rollout.refused", sequence=3),
    event("rollout.passed", "doors", sequence=4),
    event("rollout.turn", sequence=5),
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.make(tmp_path)
    backend = world.backend()
    backend.documents = {"rollouts": ROLLOUTS, "events": EVENTS}
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield world


async def test_status_shows_what_each_node_runs_and_what_holds_it_up(world: World) -> None:
    shown = await world.run("rollout", "status", "faces")
    assert shown.exit_code == 0
    heading, refused, waits = shown.stdout.splitlines()[:3]
    assert heading.split() == ["SERVICE", "SITE", "NODE", "RUNS", "WANTS", "STAGE", "WHY"]
    assert refused.split()[:6] == ["faces", "north", "north-a", "1.0.0", "1.1.0", "refused"]
    assert "golden check" in refused
    assert "waits for north-a" in waits


async def test_status_as_json_is_the_documents(world: World) -> None:
    shown = await world.run("rollout", "status", "-o", "json")
    assert json.loads(shown.stdout) == ROLLOUTS


async def test_a_service_that_does_not_run_is_said_so(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    async with serving(MemoryBackend(), world.master.tls) as address:
        world.know(master_at(address))
        shown = await world.run("rollout", "status", "doors")
        everything = await world.run("rollout", "status")
        history = await world.run("rollout", "history", "doors")
    assert shown.exit_code == 1
    assert "no service 'doors'" in shown.stderr
    assert (everything.exit_code, history.exit_code) == (0, 1)
    assert "meshctl apply" in everything.output
    assert "nothing is known of rollouts of 'doors'" in history.stderr


async def test_history_tells_of_this_services_rollouts_alone(world: World) -> None:
    shown = await world.run("rollout", "history", "faces", "-o", "json")
    told = [one["event"] for one in json.loads(shown.stdout)]
    assert told == ["workload.serving", "rollout.refused", "rollout.turn"]
    latest = await world.run("rollout", "history", "faces", "--limit", "1", "-o", "json")
    assert [one["event"] for one in json.loads(latest.stdout)] == ["rollout.turn"]
