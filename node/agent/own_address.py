"""Where neighbours reach this node, looked at again and again.

A machine may start before its network does, as after a power cut that took the switch as well, and
an address that was leased may be another tomorrow. What is configured stays as it is.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from mesh.addresses import AddressRefused, is_loopback, split_address

LOOK_S = 5.0
"""Between two looks: some system calls, and no packet."""
LOOPBACK = "127.0.0.1"
CARDS = Path("/sys/class/net")


class Own(NamedTuple):
    """An IPv4 address of this machine; `up`: its interface is, and is plugged in; `card`: that is a
    device, and no bridge or the like."""

    address: str
    up: bool
    card: bool


def advertised(listen: str, configured: str, told: str = "") -> str:
    """The address that neighbours are told for a port that listens at `listen` (HOST:PORT). `told`
    is what they were told last."""
    if configured:
        return configured
    host, _, port = listen.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_unspecified:
        return listen
    return f"{leading_out(told.rpartition(':')[0])}:{port}"


def for_multicast(address: str) -> tuple[str, int]:
    """IP address and port to announce by mDNS, which carries no names: for a configured name, this
    machine's own address."""
    host, port = split_address(address)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return leading_out(), port


def leading_out(told: str = "") -> str:
    """The address of the interface that leads out; where no route does, as on a LAN without a
    router, that of an interface (`told`, if it is as good as any); loopback where there is none.

    No packet is sent: connecting a UDP socket only chooses the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return without_route(_own(), told)


def without_route(own: Iterable[Own], told: str) -> str:
    """Which of these addresses neighbours are told. An address that was told is kept where only
    worse ones are left, though its cable is pulled out: it may come back as it was."""

    def worse(one: Own) -> tuple[bool, ...]:
        by_itself = ipaddress.ip_address(one.address).is_link_local
        return (by_itself, not one.card, not one.up, one.address != told)

    others = (one for one in own if not ipaddress.ip_address(one.address).is_loopback)
    found = [one for one in others if one.up or one.address == told]
    return min(found, key=worse).address if found else LOOPBACK


def _own() -> Iterator[Own]:
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        up = name in states and states[name].isup
        card = (CARDS / name / "device").exists()
        for one in addresses:
            if one.family == socket.AF_INET:
                yield Own(one.address, up, card)


class OwnAddress:
    """The address that was told last. `find` gives the one of now (from that), `changed` tells
    it."""

    def __init__(
        self, told: str, find: Callable[[str], str], changed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._told = told
        self._find = find
        self._changed = changed

    async def run(self) -> None:
        """Looks now and then. Cancel to end."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Looks once. A network that went away leaves the address as it was told: nobody is reached
        at loopback, and it may come back as it was."""
        found = self._find(self._told)
        if found != self._told and (_leads_nowhere(self._told) or not _leads_nowhere(found)):
            self._told = found
            await self._changed(found)


def _leads_nowhere(address: str) -> bool:
    try:
        return is_loopback(address)
    except AddressRefused:
        return True
