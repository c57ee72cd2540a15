"""Nodes that find each other by real multicast on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from zeroconf import ServiceStateChange, Zeroconf

from node.net.discovery import PENDING_MAX, Discovery
from node.net.mdns_records import SERVICE_TYPE, Advertisement, Hint

DEADLINE_S = 15.0
LOOPBACK = ["127.0.0.1"]


def node(identity: str, site: str = "north", mesh: str = "acme", boot: int = 1) -> Advertisement:
    return Advertisement(mesh, site, identity, boot, ("127.0.0.1",), 7400 + boot)


@contextlib.asynccontextmanager
async def running(own: Advertisement) -> AsyncIterator[tuple[Discovery, asyncio.Queue[Hint]]]:
    discovery, hints = Discovery(LOOPBACK), asyncio.Queue[Hint]()
    await discovery.start(own, hints.put_nowait)
    assert discovery.status == "starting"
    yield discovery, hints
    await discovery.stop()
    assert discovery.status == "off"


async def working(discovery: Discovery) -> None:
    """Wait until multicast works; skip where it does not."""
    async with asyncio.timeout(DEADLINE_S):
        while discovery.status == "starting":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    if discovery.status != "working":
        pytest.skip(f"{discovery.status}; as root: ip route add 224.0.0.0/4 dev lo")


async def heard(hints: asyncio.Queue[Hint]) -> Hint:
    async with asyncio.timeout(DEADLINE_S):
        return await hints.get()


async def test_neighbours_are_found_strangers_ignored_and_a_new_boot_is_news() -> None:
    async with (
        running(node("north-1")) as (one, of_one),
        running(node("north-2")) as (two, of_two),
        running(node("south-1", site="south")) as (_, of_south),
        running(node("north-3", mesh="evil")) as (_, of_evil),
    ):
        await working(one)
        assert await heard(of_one) == Hint("north-2", 1, ("127.0.0.1:7401",))
        assert await heard(of_two) == Hint("north-1", 1, ("127.0.0.1:7401",))
        await two.update(node("north-2", boot=2))
        assert await heard(of_one) == Hint("north-2", 2, ("127.0.0.1:7402",))
        assert of_south.empty()
        assert of_evil.empty()
        assert one.status == "working"


async def test_an_interface_that_is_not_there_is_told_and_does_no_harm() -> None:
    discovery = Discovery(["203.0.113.9"])
    await discovery.start(node("north-1"), lambda hint: None)
    async with asyncio.timeout(DEADLINE_S):
        while not discovery.status.startswith("unavailable"):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert discovery.status == "unavailable: no interface of this machine has 203.0.113.9"
    await discovery.update(node("north-1", boot=2))
    await discovery.stop()


def test_an_interface_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="'eth0' does not appear to be an IPv4"):
        Discovery(["eth0"])


async def test_a_flood_of_names_is_dropped_and_counted() -> None:
    discovery = Discovery(LOOPBACK)
    for number in range(PENDING_MAX + 10):
        name = f"fake-{number}.{SERVICE_TYPE}"
        for change in (ServiceStateChange.Removed, ServiceStateChange.Added):
            discovery._on_change(Zeroconf.__new__(Zeroconf), SERVICE_TYPE, name, change)
    assert discovery.dropped == 10


async def test_a_name_that_is_none_or_never_answers_gives_no_hint() -> None:
    # A site of its own: what others announced a moment ago is still on its way.
    async with running(node("north-1", site="alone")) as (discovery, hints):
        await working(discovery)
        for name in ("nonsense", f"gone.{SERVICE_TYPE}"):
            assert await discovery._hint(name) is None
        assert hints.empty()
    assert await discovery._hint(f"gone.{SERVICE_TYPE}") is None, "after the end, too"
