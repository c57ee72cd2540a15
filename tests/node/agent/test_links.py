"""Which of two links is kept, what is said of links, and how neighbours are dialled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from mesh.core.messages import Trouble
from mesh.events import DialFailed, LinkDown, LinkUp, Received
from node.agent import links
from tests.node.agent.fake_links import MASTER, FakeLink, Network, node
from tests.node.agent.waiting import until

MakeNetwork = Callable[[str], Network]


@pytest.fixture
async def make_network() -> AsyncIterator[MakeNetwork]:
    """Networks of a node with this ID, which end with the test."""
    made: list[Network] = []

    def make(own: str) -> Network:
        made.append(Network(own))
        return made[-1]

    yield make
    for network in made:
        await network.close()


@asynccontextmanager
async def dialling(network: Network) -> AsyncIterator[None]:
    task = asyncio.create_task(network.links.dial_neighbours())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_link_is_told_of_and_its_frames_are_handed_on(make_network: MakeNetwork) -> None:
    network = make_network("b")
    link = network.accept(FakeLink(node("a"), dialled=False))
    await until(lambda: network.links.linked("a"))
    link.arrive(b"frame")
    await until(lambda: len(network.fed) == 2)
    up, received = network.fed
    assert isinstance(up, LinkUp)
    assert (up.contact.name, up.contact.role, up.contact.site, up.wan) == (
        "a",
        "node",
        "north",
        False,
    )
    assert up.contact.tls_key == link.peer.tls_key
    assert received == Received("a", b"frame")
    network.links.send("a", b"answer")
    network.links.send("nobody", b"answer")
    assert link.sent == [b"answer"]
    network.links.drop("a", "it lies")
    network.links.drop("nobody", "it lies")
    await until(lambda: not network.links.linked("a"))
    assert network.fed[-1] == LinkDown("a", "it lies")


@pytest.mark.parametrize(
    ("own", "peer", "first_dialled", "kept"),
    [
        ("b", "a", True, "second"),  # a is lower: the one that a dialled
        ("b", "a", False, "first"),
        ("b", "c", True, "first"),  # b is lower: the one that b dialled
        ("b", "c", False, "second"),
    ],
)
async def test_of_two_links_made_at_once_the_one_that_the_lower_id_dialled_is_kept(
    make_network: MakeNetwork, own: str, peer: str, first_dialled: bool, kept: str
) -> None:
    network = make_network(own)
    first = network.accept(FakeLink(node(peer), dialled=first_dialled))
    await until(lambda: network.links.linked(peer))
    second = network.accept(FakeLink(node(peer), dialled=not first_dialled))
    await until(lambda: first.reason or second.reason)
    ended, stays = (second, first) if kept == "first" else (first, second)
    assert ended.reason in ("there is a link already", "a newer link took its place")
    assert stays.reason is None
    assert network.links.linked(peer)
    assert [link for _, link, _, _ in network.links.open()] == [stays]
    names = [name for name, _ in network.said()]
    expected = ["LinkUp"] if kept == "first" else ["LinkUp", "LinkDown", "LinkUp"]
    assert names == expected


async def test_a_link_that_the_same_end_made_later_replaces_the_older(
    make_network: MakeNetwork,
) -> None:
    network = make_network("b")
    old = network.accept(FakeLink(node("a"), dialled=False))
    await until(lambda: network.links.linked("a"))
    new = network.accept(FakeLink(node("a"), dialled=False))
    await until(lambda: old.reason)
    await until(lambda: len(network.fed) == 3)
    assert [link for _, link, _, _ in network.links.open()] == [new]
    assert network.said() == [("LinkUp", "a"), ("LinkDown", "a"), ("LinkUp", "a")]


async def test_bytes_over_the_wan_are_counted_beyond_the_life_of_a_link(
    make_network: MakeNetwork,
) -> None:
    network = make_network("b")
    lan, wan = FakeLink(node("a")), FakeLink(MASTER, wan=True)
    network.accept(lan)
    network.accept(wan)
    await until(lambda: network.links.linked("master-1"))
    network.links.send("a", b"12345")
    network.links.send("master-1", b"123")
    wan.arrive(b"1")
    assert network.links.wan_bytes() == {"sent": 3, "received": 1}
    wan.close("cut")
    await until(lambda: not network.links.linked("master-1"))
    assert network.links.wan_bytes() == {"sent": 3, "received": 1}


async def test_every_address_is_tried_and_the_failure_is_told(make_network: MakeNetwork) -> None:
    network = make_network("b")
    network.links.know(node("a"), ["h:1", "h:2"])
    network.links.know(node("b"), ["h:3"])  # that is us
    network.links.know(node("c"), [])
    assert network.links.known() == {"a": ["h:1", "h:2"]}
    async with dialling(network):
        await until(lambda: network.fed)
        assert network.dialled[:2] == ["h:1", "h:2"]
        assert network.fed[0] == DialFailed("a", "h:2: nobody answers")
        network.up = {"h:2"}
        await until(lambda: network.links.linked("a"))


async def test_a_new_address_is_tried_at_once(make_network: MakeNetwork) -> None:
    network = make_network("b")
    network.links.know(node("a"), ["h:1"])
    async with dialling(network):
        await until(lambda: network.fed)
        network.links._targets["a"].next_s += 3600
        network.up = {"h:9"}
        network.links.know(node("a"), ["h:1"])
        network.links.know(node("a"), ["h:9", "h:1"])
        await until(lambda: network.links.linked("a"))
        assert network.dialled[-1] == "h:9"


async def test_a_link_that_ends_at_once_is_not_dialled_without_a_pause(
    make_network: MakeNetwork,
) -> None:
    network = make_network("b")
    network.up = {"h:1"}
    network.links.know(node("a"), ["h:1"])
    target = network.links._targets["a"]
    target.backoff._draw = lambda low, high: high  # the pauses, not their jitter
    async with dialling(network):
        for _ in range(3):
            target.next_s = 0.0
            network.links._news.set()
            await until(lambda: network.links.linked("a"))
            network.made[-1].close("not welcome")
            await until(lambda: not network.links.linked("a"))
    assert target.backoff._ceiling_s == links.LAN_RETRY_FIRST_S * 8


async def test_a_node_that_its_neighbours_turn_away_is_an_alarm_until_it_is_linked_with_one(
    make_network: MakeNetwork,
) -> None:
    network = make_network("b")
    network.refusing = {"h:1", "h:2"}
    network.links.know(node("a"), ["h:1"])
    network.links.know(node("c"), ["h:2"])
    told = Trouble("TurnedAway", "neighbours", "h:1: was revoked: stolen", "critical")
    async with dialling(network):
        await until(lambda: network.dialled.count("h:1") > 1 and network.dialled.count("h:2") > 1)
        assert [event for event in network.fed if isinstance(event, Trouble)] == [told]
        network.refusing = {"h:1"}
        network.up = {"h:2"}
        await until(lambda: network.links.linked("c"))
        seen = len(network.dialled)
        await until(lambda: len(network.dialled) > seen + 1)
    said = [event for event in network.fed if isinstance(event, Trouble)]
    assert said == [told, replace(told, message="")], "one that refuses it may be wrong"


@pytest.mark.parametrize(("serves", "alarms"), [(True, 0), (False, 1)])
async def test_the_first_to_refuse_is_no_alarm_before_the_others_have_answered(
    make_network: MakeNetwork, serves: bool, alarms: int
) -> None:
    network = make_network("b")
    network.refusing, network.slow = {"h:1"}, {"h:2": asyncio.Event()}
    network.up = {"h:2"} if serves else set()
    network.links.know(node("a"), ["h:1"])
    network.links.know(node("c"), ["h:2"])
    async with dialling(network):
        await until(lambda: network.dialled.count("h:1") > 1)
        early = [event for event in network.fed if isinstance(event, Trouble)]
        network.slow["h:2"].set()
        seen = len(network.dialled)
        await until(lambda: len(network.dialled) > seen + 1)
    assert early == []
    assert len([event for event in network.fed if isinstance(event, Trouble)]) == alarms


async def test_a_neighbour_that_is_long_gone_is_dialled_every_few_seconds_where_few_are(
    make_network: MakeNetwork,
) -> None:
    network = make_network("b")
    network.links.know(node("a"), ["h:1"])
    assert network.links._targets["a"].backoff.max_s == links.LAN_RETRY_MAX_S
    for number in range(49):
        network.links.know(node(f"n{number}"), ["h:1"])
    waits = {target.backoff.max_s for target in network.links._targets.values()}
    assert waits == {50 * links.LAN_RETRY_EACH_S}


async def test_a_good_link_that_breaks_is_dialled_at_once(make_network: MakeNetwork) -> None:
    network = make_network("b")
    network.up = {"h:1"}
    network.links.know(node("a"), ["h:1"])
    target = network.links._targets["a"]
    async with dialling(network):
        await until(lambda: network.links.linked("a"))
        network.links._open["a"].since_s -= links.STEADY_S
        target.backoff.next_s()
        network.made[-1].close("cut")
        await until(lambda: len(network.made) == 2)
    assert target.backoff._ceiling_s == links.LAN_RETRY_FIRST_S
