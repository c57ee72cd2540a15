"""`meshctl rollout undo|pause|resume`, `pin` and `unpin`: what they ask for, say and refuse."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.node.admin.support import MemoryBackend, World, master_at, node_at, serving

VERSIONS = [
    {"version": "m@1.0.0", "state": 5, "undone": False},
    {"version": "m@1.1.0", "state": 6, "undone": False, "time": 1_700_000_000_000},
    {"version": "m@1.0.0", "state": 9, "undone": True, "time": 1_700_000_000_000,
     "reason": "too slow"},
]  # fmt: skip


@dataclass
class Steered:
    """A master in memory, and a world that knows it."""

    world: World
    backend: MemoryBackend


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Steered]:
    world = World.make(tmp_path)
    backend = world.backend()
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield Steered(world, backend)


@pytest.mark.parametrize(
    ("command", "asked", "says"),
    [
        pytest.param(
            ["rollout", "pause", "faces", "--site", "north", "--reason", "too slow"],
            ("rollout", "faces", "north", "pause", "too slow"),
            "faces pauses in north, as state 12 arrives there\n",
            id="pause in a site",
        ),
        pytest.param(
            ["rollout", "resume", "faces"],
            ("rollout", "faces", "", "resume", ""),
            "faces goes on in north, south, as state 12 arrives there\n",
            id="resume everywhere",
        ),
        pytest.param(
            ["rollout", "undo", "faces", "--reason", "misses faces"],
            ("rollout", "faces", "", "undo", "misses faces"),
            "faces goes back to m@1.0.0 in north, south, as state 12 arrives there\n",
            id="undo",
        ),
        pytest.param(
            ["pin", "faces", "1.0.0", "--site", "south", "--reason", "audit"],
            ("pin", "faces", "south", "1.0.0", "audit"),
            "faces stays at m@1.0.0 in south, as state 12 arrives there\n",
            id="pin in a site",
        ),
        pytest.param(
            ["unpin", "faces"],
            ("pin", "faces", "", "", ""),
            "faces follows m@1.0.0 again in north, south, as state 12 arrives there\n",
            id="unpin everywhere",
        ),
    ],
)
async def test_what_is_asked_and_what_is_said(
    master: Steered, command: list[str], asked: tuple[str, ...], says: str
) -> None:
    done = await master.world.run(*command)
    assert (done.exit_code, done.stdout) == (0, says)
    assert master.backend.steered == [asked]
    again = await master.world.run(*command)
    assert again.exit_code == 0
    assert "(state 12)" in again.stdout
    as_json = await master.world.run(*command, "-o", "json")
    assert json.loads(as_json.stdout) == {
        "service": "faces",
        "sites": [],
        "version": "m@1.0.0",
        "counter": 12,
    }


async def test_an_undo_of_a_paused_rollout_says_how_it_goes_on(master: Steered) -> None:
    master.backend.documents["services"] = [{"name": "faces", "paused": ["north"]}]
    done = await master.world.run("rollout", "undo", "faces")
    assert done.exit_code == 0
    assert "paused in north" in done.stderr
    assert "meshctl rollout resume faces" in done.stderr


@pytest.mark.parametrize(
    "command",
    [["rollout", "undo"], ["rollout", "pause"], ["rollout", "resume"], ["unpin"]],
    ids=" ".join,
)
async def test_a_service_that_is_not_there_is_said_so(master: Steered, command: list[str]) -> None:
    done = await master.world.run(*command, "doors")
    assert done.exit_code == 1
    assert "there is no service 'doors'; list them: meshctl get services" in done.stderr


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (["rollout", "undo", "faces"], "only a master can undo rollouts"),
        (["rollout", "pause", "faces"], "only a master can pause rollouts"),
        (["pin", "faces", "1.0.0"], "only a master can pin versions"),
        (["unpin", "faces"], "only a master can unpin versions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_node_is_not_even_asked(tmp_path: Path, command: list[str], rule: str) -> None:
    world = World.make(tmp_path)
    backend = world.backend(is_node=True)
    async with serving(backend, world.node_tls("north-a")) as address:
        world.know(node_at(address))
        done = await world.run(*command, "--address", address)
    assert done.exit_code == 4
    assert rule in done.stderr
    assert "use its address" in done.stderr
    assert backend.steered == []


async def test_history_at_a_master_begins_with_the_versions(master: Steered) -> None:
    master.backend.documents["services"] = [{"name": "faces", "versions": VERSIONS}]
    master.backend.documents["events"] = [
        {"event": "rollout.undone", "subject": "faces", "cause": "too slow", "time": 1},
        {"event": "workload.restart", "subject": "faces", "cause": "stuck", "time": 2},
    ]
    shown = await master.world.run("rollout", "history", "faces")
    heading, first, _, third = shown.stdout.splitlines()[:4]
    assert heading.split() == ["STATE", "VERSION", "SINCE", "UNDONE", "REASON"]
    assert first.split()[:3] == ["5", "m@1.0.0", "-"]
    assert third.split()[:2] == ["9", "m@1.0.0"]
    assert third.rstrip().endswith("too slow")
    assert "by undo" in third
    assert "rollout.undone" in shown.stdout
    as_json = await master.world.run("rollout", "history", "faces", "-o", "json")
    assert [one["event"] for one in json.loads(as_json.stdout)] == [
        "rollout.undone",
        "workload.restart",
    ]
