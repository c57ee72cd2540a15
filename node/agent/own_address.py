"""Where neighbours reach this node, looked at again and again.

A machine may start before its network does, as after a power cut that took the switch as well, and
an address that was leased may be another tomorrow. What is configured stays as it is.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

from mesh.addresses import AddressRefused, is_loopback, split_address

LOOK_S = 5.0
"""Between two looks: three system calls, and no packet."""


def advertised(listen: str, configured: str) -> str:
    """The address that neighbours are told for a port that listens at `listen` (HOST:PORT)."""
    if configured:
        return configured
    host, _, port = listen.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_unspecified:
        return listen
    return f"{leading_out()}:{port}"


def for_multicast(address: str) -> tuple[str, int]:
    """IP address and port to announce by mDNS, which carries no names: for a configured name, this
    machine's own address."""
    host, port = split_address(address)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return leading_out(), port


def leading_out() -> str:
    """The address of the interface that leads out; loopback where there is none.

    No packet is sent: connecting a UDP socket only chooses the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


class OwnAddress:
    """The address that was told last. `find` gives the one of now, `changed` tells it."""

    def __init__(
        self, told: str, find: Callable[[], str], changed: Callable[[str], Awaitable[None]]
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
        found = self._find()
        if found != self._told and (_leads_nowhere(self._told) or not _leads_nowhere(found)):
            self._told = found
            await self._changed(found)


def _leads_nowhere(address: str) -> bool:
    try:
        return is_loopback(address)
    except AddressRefused:
        return True
