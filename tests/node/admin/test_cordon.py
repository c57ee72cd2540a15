"""`meshctl cordon`, `drain` and `uncordon` against a server: what they ask and how they end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.admin.commands import cordon
from node.admin.documents import Document
from tests.node.admin.support import MemoryBackend, World, master_at, node_at, serving

FACES = {"workload": "faces", "node": "north-a", "phase": "serving"}
ELSEWHERE = {"workload": "faces", "node": "north-b", "phase": "serving"}
STAYS = {
    "kind": "Drain",
    "subject": "north-a/faces",
    "message": "1 of its replicas fit on no other live node: add a node",
}


class Draining(MemoryBackend):
    """A daemon whose node is as each next of `looks` says; the last one holds on."""

    looks: list[dict[str, list[Document]]]

    async def get(self, kind: str, name: str, site: str, limit: int) -> list[Document]:
        if kind == "nodes" and len(self.looks) > 1:
            self.looks = self.looks[1:]
        return self.looks[0].get(kind, [])


def look(
    word: str, *workloads: Document, alarms: tuple[Document, ...] = (), applied: int = 12
) -> dict[str, list[Document]]:
    node = {"node": "north-a", "applied": applied, "cordon": word}
    return {"nodes": [node], "workloads": [*workloads, ELSEWHERE], "alarms": list(alarms)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cordon, "LOOK_S", 0.01)
    monkeypatch.setattr(cordon, "STUCK_S", 0.05)
    monkeypatch.setattr(cordon, "HEARD_S", 0.05)


@pytest.fixture
async def master(world: World) -> AsyncIterator[Draining]:
    backend = Draining()
    backend.looks = [look("drained")]
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield backend


async def test_cordon_and_uncordon_say_what_they_do(world: World, master: Draining) -> None:
    master.looks = [look("")]
    done = await world.run("cordon", "north-a", "--reason", "noisy")
    assert done.stdout == "north-a takes no new work; what runs there stays\n"
    done = await world.run("uncordon", "north-a")
    assert done.stdout == "north-a takes work again\n"
    assert master.held_back == [("north-a", True, False, "noisy"), ("north-a", False, False, "")]
    shown = await world.run("cordon", "north-a", "-o", "json")
    document = {"node": "north-a", "cordon": "cordoned", "counter": 12, "workloads": 2}
    assert json.loads(shown.stdout) == document


@pytest.mark.parametrize(
    ("applied", "cordon", "said"),
    [
        pytest.param(
            12,
            "draining",
            "north-a takes no work yet: the node holds itself back as well, and that ends there: "
            "meshctl uncordon north-a --address 10.0.0.7:7400 --identity north-a",
            id="it was said at both",
        ),
        pytest.param(
            11,
            "",
            "north-a takes work again once it hears of it: it was not reached so far",
            id="the node is off",
        ),
    ],
)
async def test_uncordon_at_a_master_says_that_the_node_still_holds_itself_back(
    world: World, master: Draining, applied: int, cordon: str, said: str
) -> None:
    node = {"node": "north-a", "applied": applied, "cordon": "draining"}
    master.looks = [{"nodes": [{**node, "address": "10.0.0.7:7400"}]}]
    done = await world.run("uncordon", "north-a")
    assert (done.exit_code, done.stdout.replace("\n", "")) == (0, said)
    shown = json.loads((await world.run("uncordon", "north-a", "-o", "json")).stdout)
    assert shown["cordon"] == cordon


async def test_uncordon_at_a_node_says_that_a_master_still_holds_it_back(world: World) -> None:
    node = Draining(is_node=True)
    node.looks = [look("cordoned")]
    async with serving(node, world.node_tls("north-a")) as address:
        world.know(node_at(address))
        asked = ["--address", address, "--identity", "north-a"]
        done = await world.run("uncordon", "north-a", *asked)
        assert done.stdout.replace("\n", "") == (
            "north-a takes no work yet: a master holds it back as well, and that ends there: "
            "meshctl uncordon north-a, without --address"
        )
        node.looks = [look("cordoned"), look("cordoned"), look("")]
        done = await world.run("uncordon", "north-a", *asked)
    assert done.stdout == "north-a takes work again\n", "it said so a moment later"


async def test_a_drain_of_a_node_that_no_master_reaches_says_whom_to_ask(
    world: World, master: Draining
) -> None:
    away = look("", FACES, applied=11)
    away["nodes"][0] |= {"live": "unknown", "address": "10.1.0.11:7400"}
    master.looks = [away]
    done = await world.run("drain", "north-a", "--timeout", "1")
    assert done.exit_code == 1
    assert "no master reaches it; it can be asked itself" in done.stderr
    assert "meshctl drain north-a --address 10.1.0.11:7400 --identity north-a" in done.stderr


async def test_a_drain_shows_what_is_left_until_nothing_is(world: World, master: Draining) -> None:
    master.looks = [
        look(""),
        look("", FACES, applied=11),
        look("draining", FACES, FACES),
        look("draining"),
        look("drained"),
    ]
    done = await world.run("drain", "north-a", "--reason", "new fan")
    assert done.exit_code == 0, done.output
    assert done.stdout == "north-a is drained: nothing runs there\n"
    assert done.stderr.splitlines() == [
        "north-a has not heard of it yet: it goes by state 11",
        "north-a still runs faces (2)",
        "north-a still runs something",
    ]
    assert master.held_back == [("north-a", True, True, "new fan")]


async def test_a_drain_that_is_not_waited_for(world: World, master: Draining) -> None:
    done = await world.run("drain", "north-a", "--no-wait")
    assert done.stdout.startswith("north-a is drained from now on; `meshctl get nodes` shows")


async def test_what_cannot_move_is_said_with_the_way_out(world: World, master: Draining) -> None:
    other = {**STAYS, "subject": "north-b/faces"}
    master.looks = [look(""), look("draining", FACES, alarms=(other, STAYS))]
    done = await world.run("drain", "north-a")
    assert done.exit_code == 1
    assert "north-a keeps faces: 1 of its replicas fit on no other live node" in done.stderr
    assert "north-b keeps" not in done.stderr
    assert "what is left goes as soon as it can" in done.stderr


async def test_a_drain_is_not_waited_for_for_ever(world: World, master: Draining) -> None:
    master.looks = [look(""), look("draining", FACES)]
    done = await world.run("drain", "north-a", "--timeout", "1")
    assert done.exit_code == 1
    assert "not within 1 s: north-a still runs faces" in done.stderr


async def test_a_node_is_asked_of_itself(world: World) -> None:
    node = Draining(is_node=True)
    node.looks = [look("drained")]
    async with serving(node, world.node_tls("north-a")) as address:
        world.know(node_at(address))
        asked = ["--address", address, "--identity", "north-a"]
        done = await world.run("drain", "north-a", "-o", "json", *asked)
    assert json.loads(done.stdout) == {"node": "north-a", "cordon": "drained", "counter": 0}


async def test_refusals_pass_through(world: World, master: Draining) -> None:
    unknown = await world.run("drain", "nobody")
    assert (unknown.exit_code, "there is no node 'nobody'" in unknown.stderr) == (1, True)
    nameless = await world.run("cordon", "")
    assert nameless.exit_code == 2
    assert "names no node" in nameless.stderr
