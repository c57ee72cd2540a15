"""A planned restart of an agent on a real mesh: its runtime serves on, and nothing moves."""

import asyncio
import time

from mesh.core.messages import NeighbourSilent
from node.agent.away import MISSES_MAX, AwayWatch
from tests.node.agent.asking import asked_everywhere
from tests.node.agent.lab import Lab, wait_for
from tests.node.agent.waiting import until

AWAY_S = 8
"""Longer than it takes to find a node dead that said nothing."""


def settle(lab: Lab) -> str:
    """Until two replicas serve on two nodes and nothing else runs; one of the two."""

    def settled() -> bool:
        running = {name: len(lab.pids(name, "worker")) for name in lab.nodes}
        serving = lab.serving("a")
        return {n: c for n, c in running.items() if c} == dict.fromkeys(serving, 1)

    wait_for("two nodes serve", lambda: len(lab.serving("a")) == 2 and settled())
    for name in lab.nodes:
        lab.wait_answer(name)
    return sorted(lab.serving("a"))[-1]


def terminate(lab: Lab, name: str) -> None:
    """SIGTERM to the agent, until it has ended."""
    process = lab.nodes[name].process
    assert process is not None
    process.terminate()
    assert process.wait(20) == 0


def test_a_planned_restart_moves_nothing_and_no_request_fails(lab: Lab) -> None:
    name = settle(lab)
    before = {node: lab.pids(node, "worker") for node in lab.nodes}
    other = next(node for node in lab.nodes if node != name)
    known = len(lab.get(other, "events", other))
    with asked_everywhere(lab):
        terminate(lab, name)
        gone_s = time.monotonic()
        wait_for("it is away for long", lambda: time.monotonic() > gone_s + AWAY_S)
        assert {n["node"]: n["live"] for n in lab.get(other, "nodes")}[name] == "live"
        lab.start(name)
        wait_for("it is back", lambda: name in lab.serving(other) and name in lab.serving(name))
    assert settle(lab) == name
    assert {node: lab.pids(node, "worker") for node in lab.nodes} == before
    events = [(e["event"], e["subject"]) for e in lab.get(other, "events", other)[known:]]
    assert ("node.dead", name) not in events
    assert ("node.suspected", name) not in events


def test_a_node_that_is_switched_off_as_planned_is_replaced_at_once(lab: Lab) -> None:
    name = settle(lab)
    other = next(node for node in lab.nodes if node != name)
    terminate(lab, name)
    done = lab.run("meshd", "runtime", "--stop", "--data", str(lab.nodes[name].data))
    assert done.code == 0
    wait_for("it is found out", lambda: name not in lab.serving(other), seconds=20)
    wait_for("two serve", lambda: sum(map(len, lab.serving(other).values())) == 2, seconds=20)
    lab.start(name)
    settle(lab)


class Away:
    """The neighbours that are away, and what is told of them."""

    def __init__(self, own: str = "127.0.0.1:7412") -> None:
        self.away: dict[str, str] = {}
        self.told: list[NeighbourSilent] = []
        self._watch = AwayWatch(lambda: self.away, lambda: own, self.told.append)

    async def look(self, **away: str) -> None:
        """Looks once, with these away."""
        self.away = away
        await self._watch.look()


class Listener:
    """Something that listens, and counts who knocks."""

    def __init__(self) -> None:
        self.knocks = 0
        self.address = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Listener":
        self._server = await asyncio.start_server(self._knocked, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def _knocked(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        writer.close()

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


async def test_a_runtime_that_does_not_answer_twice_is_told() -> None:
    site = Away()
    async with Listener() as runtime:
        address = runtime.address
        for _ in range(MISSES_MAX + 1):
            await site.look(b=address)
        await until(lambda: runtime.knocks == MISSES_MAX + 1)
    assert site.told == []
    await site.look(b=address, c="no address")
    assert site.told == []
    await site.look(b=address, c="")
    assert site.told == [NeighbourSilent("b"), NeighbourSilent("c")]
    await site.look(b=address)
    await site.look()
    await site.look(b=address)
    assert len(site.told) == MISSES_MAX, "misses count only in a row"


async def test_nobody_knocks_at_its_own_machine_for_a_neighbour() -> None:
    site = Away(own="10.0.0.6:7412")
    async with Listener() as something:
        for _ in range(MISSES_MAX):
            await site.look(b=something.address)
        assert something.knocks == 0
    assert site.told == [NeighbourSilent("b")]


async def test_who_comes_back_while_it_is_looked_at_is_not_told() -> None:
    told: list[NeighbourSilent] = []
    answers = iter([{"b": ""}, {"b": ""}, {"b": ""}, {}])  # before and after each look
    watch = AwayWatch(lambda: next(answers), lambda: "", told.append)
    for _ in range(MISSES_MAX):
        await watch.look()
    assert told == []
