"""A runtime that is frozen: not counted on, killed if that lasts, and started anew."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh.core.messages import Run, RuntimeReported, Trouble
from node.agent.runtime_client import RuntimeClient, runtime_socket
from node.agent.runtime_pulse import PATIENCE, Patience, Pulse, kill_listener
from node.disk.files import Disk
from protos.runtime_pb2 import JournalItem, RuntimeState
from tests.node.agent.stores import make_stores
from tests.node.agent.waiting import until
from tests.node.runtime.harness import PROGRAM, configuration, start

QUICK = Patience(look_s=0.1, frozen_looks=10, kill_looks=25)
"""Frozen after a second, killed after two and a half."""
LONG = Patience(look_s=0.1, frozen_looks=10, kill_looks=10**6)


@dataclass
class Agent:
    """What an agent's end of the socket tells its core and its journal."""

    client: RuntimeClient
    fed: list[Any] = field(default_factory=list)
    journal: list[JournalItem] = field(default_factory=list)

    @property
    def state(self) -> RuntimeState | None:
        """The runtime's state, as the core was told last."""
        reports = [one for one in self.fed if isinstance(one, RuntimeReported)]
        return reports[-1].state if reports else None

    @property
    def pid(self) -> int:
        """The runtime's process; 0 where there is none to count on."""
        return self.state.pid if self.state is not None else 0

    @property
    def trouble(self) -> str:
        """The alarm, as the core was told last."""
        said = [one.message for one in self.fed if isinstance(one, Trouble)]
        return said[-1] if said else ""


@asynccontextmanager
async def agent(folder: Path, patience: Patience) -> AsyncIterator[Agent]:
    """An agent's end of a real runtime, which it starts where there is none."""
    (folder / "run").mkdir(exist_ok=True)
    fed: list[Any] = []
    journal: list[JournalItem] = []
    client = RuntimeClient(
        runtime_socket(folder),
        [sys.executable, "-c", PROGRAM, json.dumps(configuration(folder))],
        folder / "run" / "runtime.log",
        make_stores(folder, Disk()).blobs,
        {},
        fed.append,
        journal.append,
        lambda: [],
        patience,
    )
    made = Agent(client, fed, journal)
    task = asyncio.create_task(client.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        kill_listener(runtime_socket(folder))
        if client._process is not None:
            await asyncio.to_thread(client._process.wait)


async def test_a_frozen_runtime_is_not_counted_on_until_it_is_heard_again(tmp_path: Path) -> None:
    async with agent(tmp_path, LONG) as one:
        await until(lambda: one.pid)
        pid = one.pid
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: not one.pid)
        assert "does not answer" in one.trouble
        os.kill(pid, signal.SIGCONT)
        await until(lambda: one.pid == pid)
        assert one.trouble == ""
        assert one.journal == []


async def test_a_runtime_that_stays_frozen_is_killed_and_started_anew(tmp_path: Path) -> None:
    async with agent(tmp_path, QUICK) as one:
        one.client.tell(Run((), (), (), ()))
        await until(lambda: one.pid)
        pid = one.pid
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: one.pid not in (0, pid))
        assert one.trouble == ""
    (killed,) = one.journal
    assert (killed.event, killed.fields["pid"]) == ("runtime.killed", str(pid))


async def test_a_runtime_that_was_frozen_before_the_agent_came_is_replaced(tmp_path: Path) -> None:
    before = start(configuration(tmp_path))
    try:
        await until(lambda: runtime_socket(tmp_path).exists())
        os.kill(before.pid, signal.SIGSTOP)
        async with agent(tmp_path, QUICK) as one:
            await until(lambda: one.pid not in (0, before.pid))
        assert await asyncio.to_thread(before.wait) == -signal.SIGKILL
    finally:
        before.kill()
        before.wait()


def test_a_frozen_runtime_is_out_within_three_seconds_and_killed_after_ten() -> None:
    assert PATIENCE.frozen_looks * PATIENCE.look_s == 2.5
    assert PATIENCE.kill_looks * PATIENCE.look_s == 10.0
    assert PATIENCE.beat_ms == 1000


def test_silence_counts_only_where_something_is_due() -> None:
    pulse = Pulse(Patience(frozen_looks=2, kill_looks=3))
    pulse.look()
    assert not pulse.is_frozen
    pulse.look()
    assert pulse.is_frozen  # it was never heard
    pulse.heard(beat=False)
    for _ in range(5):
        pulse.look()
    assert not pulse.is_frozen  # an older release, which sends no beats
    pulse.heard(beat=True)
    pulse.heard(beat=False)
    for frozen, lost in ((False, False), (False, False), (True, False), (True, True)):
        pulse.look()
        assert (pulse.is_frozen, pulse.is_lost) == (frozen, lost)


def test_where_nobody_listens_nobody_is_killed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kill_listener(tmp_path / "no socket")
