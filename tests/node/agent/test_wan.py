"""The way to the master: who holds the link, who steps down, who only looks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mesh.core.messages import Trouble, WanPath
from mesh.heads.identity import Identity
from node.agent import wan
from node.agent.wan import WanKeeper
from tests.node.agent.fake_links import MASTER, Network
from tests.node.agent.waiting import until


@dataclass
class Rig:
    """A keeper on a network without wires."""

    wants: bool = True
    gateway: str | None = None
    masters: list[tuple[Identity, str]] = field(default_factory=lambda: [(MASTER, "m:1")])
    network: Network = field(default_factory=Network)
    said: list[Any] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)
    """What the next looks find, before `wants` holds."""
    looks: int = 0
    """At who the gateway is."""

    def __post_init__(self) -> None:
        self.keeper = WanKeeper(
            self.network.links,
            self.said.append,
            self.masters,
            lambda: self.answers.pop(0) if self.answers else self.wants,
            self._look,
            retry_max_s=0.01,
            step_down_s=0.05,
            check_first_s=0.01,
        )

    def _look(self) -> str | None:
        self.looks += 1
        return self.gateway


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the keeper looks at twice a second in life, it looks at a hundred times here."""
    monkeypatch.setattr(wan, "LOOK_S", 0.01)
    monkeypatch.setattr(wan, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(wan, "CHECK_BACK_S", 0.01)


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(rig.keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.network.close()


async def test_it_tries_until_it_has_a_link_and_again_when_that_breaks() -> None:
    rig = Rig()
    async with running(rig):
        await until(lambda: len(rig.network.dialled) > 2)
        assert rig.said[0] == WanPath(False, "m:1: nobody answers")
        assert (rig.keeper.up, rig.keeper.why_not) == (False, "m:1: nobody answers")
        rig.network.up = {"m:1"}
        await until(lambda: rig.network.links.linked("master-1"))
        assert (rig.keeper.up, rig.keeper.why_not) == (True, "")
        assert rig.said[-1] == WanPath(True, "master-1 at m:1")
        rig.network.made[-1].close("cut")
        await until(lambda: len(rig.network.made) == 2 and rig.keeper.up)
        assert WanPath(False, "the link with the master ended") in rig.said


async def test_the_second_master_is_tried_where_the_first_does_not_answer() -> None:
    other = Identity(MASTER.mesh, "master", "master-2")
    rig = Rig(masters=[(MASTER, "m:1"), (other, "m:2")])
    rig.network.up = {"m:2"}
    async with running(rig):
        await until(lambda: rig.network.links.linked("master-2"))
        assert rig.network.dialled == ["m:1", "m:2"]


async def test_a_node_that_is_not_the_gateway_any_more_steps_down_and_keeps_its_path() -> None:
    rig = Rig()
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.network.links.linked("master-1"))
        rig.wants = False
        await until(lambda: not rig.network.links.linked("master-1"))
        assert rig.network.made[-1].reason == "another node is the gateway"
        assert rig.keeper.up  # its path worked: it is a source of chunks
        rig.wants = True
        await until(lambda: rig.network.links.linked("master-1"))


async def test_a_gateway_that_is_asked_again_in_time_keeps_its_link() -> None:
    rig = Rig()
    rig.keeper._step_down_s = 0.0  # at the second look in a row that finds it unwanted
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.network.links.linked("master-1"))
        rig.answers += [False, True] * 5
        await until(lambda: not rig.answers)
        assert len(rig.network.made) == 1
        assert rig.network.links.linked("master-1")


async def test_another_node_checks_its_path_and_lets_go_of_it() -> None:
    rig = Rig(wants=False)
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.network.made and rig.network.made[0].reason)
        assert rig.network.made[0].reason == "the path works; another node is the gateway"
        assert rig.said == [WanPath(True, "master-1 at m:1")]


async def test_a_path_is_looked_at_again_soon_when_the_gateway_changes() -> None:
    rig = Rig(wants=False, gateway="a")
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.network.made and rig.network.made[0].reason)
        rig.network.up = set()
        rig.gateway = None
        await until(lambda: rig.said[-1] == WanPath(False, "m:1: nobody answers"))


async def test_a_path_is_looked_at_again_soon_when_another_node_has_found_one() -> None:
    rig = Rig(wants=False, gateway="a")
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.said == [WanPath(True, "master-1 at m:1")])
        rig.network.up = set()
        rig.gateway = "b"
        await until(lambda: rig.said[-1] == WanPath(False, "m:1: nobody answers"))
        looks, rig.gateway = rig.looks, None
        await until(lambda: rig.looks > looks)
        rig.network.up = {"m:1"}
        rig.gateway = "a"
        await until(lambda: rig.said[-1] == WanPath(True, "master-1 at m:1"))


async def test_a_master_that_shuts_out_at_once_is_not_dialled_without_a_pause() -> None:
    rig = Rig()
    rig.keeper._backoff = type(rig.keeper._backoff)(0.2, 100.0, draw=lambda low, high: high)
    rig.network.up = {"m:1"}
    async with running(rig):
        await until(lambda: rig.network.links.linked("master-1"))
        begun = time.monotonic()
        rig.network.made[-1].close("not welcome")
        await until(lambda: len(rig.network.made) == 2)
        assert time.monotonic() - begun >= 0.2


async def test_a_node_that_a_master_turns_away_is_an_alarm_until_one_takes_it() -> None:
    rig = Rig()
    rig.network.refusing = {"m:1"}
    told = Trouble("TurnedAway", "master", "m:1: was revoked: stolen", "critical")
    async with running(rig):
        await until(lambda: len(rig.network.dialled) > 2)
        assert rig.said.count(told) == 1
        rig.network.refusing = set()
        seen = len(rig.network.dialled)
        await until(lambda: len(rig.network.dialled) > seen + 1)
        assert rig.said.count(replace(told, message="")) == 0, "nobody was reached who takes it"
        rig.network.up = {"m:1"}
        await until(lambda: replace(told, message="") in rig.said)


async def test_without_masters_there_is_nothing_to_do() -> None:
    rig = Rig(masters=[])
    await asyncio.wait_for(rig.keeper.run(), 5)
