"""Finding neighbours by mDNS: advertise this node, and hear of others.

A help and never a need: what is found is a hint (mdns_records.py), nothing waits for it, and where
multicast does not work, `status` and one line in the log say so, and the peers that are remembered
and configured are used alone. Whether it works is measured: this node's own announcement has to
come back through the network's multicast. It is tried again every minute, since interfaces come
and go.

Everything runs on the caller's loop. zeroconf answers and browses; it is given an explicit list of
interfaces, because "all" joins those of containers and VPNs too.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence

import structlog
from zeroconf import Error, InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from node.net.mdns_records import HINTS_MAX, SERVICE_TYPE, Advertisement, Hint, Hints, hint_of

ECHO_TIMEOUT_S = 5.0
"""From registering to hearing it: 1.7 s on an idle machine."""

AGAIN_S = 60.0
"""How often interfaces are looked at anew, and mDNS is tried again where it did not work."""

RESOLVE_TIMEOUT_MS = 1_000
"""To learn the address of a name whose records did not come with it."""

RESOLVERS = 4
"""Names resolved at a time. 256 names that never answer hold up a true one for 64 s at worst."""

PENDING_MAX = HINTS_MAX
"""Names that wait to be resolved; more are dropped and counted. Worst case 64 KB."""

HINTS_PER_S = 32
"""Hints passed on, each of which costs the daemon a dial."""

OnHint = Callable[[Hint], None]
log = structlog.get_logger()


class Discovery:
    """One node's advertiser and browser. `interfaces`: IP addresses; none: the system's default.

    `status` is "off", "starting", "working" or "unavailable: REASON".
    """

    def __init__(self, interfaces: Sequence[str] = ()) -> None:
        for interface in interfaces:
            ipaddress.ip_address(interface)  # ValueError: says what is no address
        self.status = "off"
        self.dropped = 0
        """Names not looked at, because too many came at once."""
        self._interfaces = list(interfaces)
        self._hints = Hints()
        self._pending: dict[str, None] = {}
        self._come = asyncio.Event()
        self._echo = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._zeroconf: AsyncZeroconf | None = None
        self._info: AsyncServiceInfo | None = None

    async def start(self, own: Advertisement, on_hint: OnHint) -> None:
        """Begin in the background; `on_hint` is called on the loop, with news only."""
        self._own, self._on_hint = own, on_hint
        self._set("starting")
        self._tasks = [asyncio.create_task(self._run(), name="mdns")]
        self._tasks += [asyncio.create_task(self._resolve(), name="mdns") for _ in range(RESOLVERS)]

    async def update(self, own: Advertisement) -> None:
        """Advertise a new boot or address."""
        self._own = own
        if self._zeroconf is None or self._info is None:
            return  # the next attempt advertises it
        self._info = _info_of(own)
        with contextlib.suppress(Error, OSError):
            await (await self._zeroconf.async_update_service(self._info))

    async def stop(self) -> None:
        """Say goodbye and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._set("off")

    async def _run(self) -> None:
        """Keep mDNS going; where it fails, try again later."""
        while True:
            try:
                await self._open()
                await self._keep()
            except (Error, OSError, RuntimeError) as error:
                self._set(f"unavailable: {error}")
            finally:
                await self._close()
            await asyncio.sleep(AGAIN_S)

    async def _open(self) -> None:
        here = [interface for interface in self._interfaces if _is_here(interface)]
        if self._interfaces and not here:
            raise OSError(f"no interface of this machine has {', '.join(self._interfaces)}")
        interfaces = here or InterfaceChoice.Default
        self._zeroconf = AsyncZeroconf(interfaces=interfaces, ip_version=self._ip_version())
        self._info = _info_of(self._own)
        AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._on_change])
        # A node whose name is taken (a cloned disk) must be heard too: it gets another name.
        announced = await self._zeroconf.async_register_service(self._info, allow_name_change=True)
        await announced

    async def _keep(self) -> None:
        """Say whether announcements come back, and follow the interfaces."""
        zeroconf = self._zeroconf
        while zeroconf is not None:
            if self.status != "working" and not await self._hears_itself():
                where = ", ".join(self._interfaces) or "the default interface"
                self._set(f"unavailable: multicast on {where} does not come back")
            await asyncio.sleep(AGAIN_S)
            await zeroconf.async_update_interfaces()

    async def _hears_itself(self) -> bool:
        try:
            async with asyncio.timeout(ECHO_TIMEOUT_S):
                await self._echo.wait()
        except TimeoutError:
            return False
        return True

    async def _close(self) -> None:
        zeroconf, self._zeroconf, self._info = self._zeroconf, None, None
        self._echo.clear()
        if zeroconf is not None:
            with contextlib.suppress(Error, OSError):
                await zeroconf.async_close()

    def _on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Take a name from the browser. A name that goes is no news: liveness is not mDNS's."""
        if state_change is ServiceStateChange.Removed:
            return
        if self._info is not None and name == self._info.name:
            self._echo.set()
            self._set("working")
        elif len(self._pending) >= PENDING_MAX and name not in self._pending:
            self.dropped += 1
        else:
            self._pending[name] = None
            self._come.set()

    async def _resolve(self) -> None:
        """Turn names into hints, one at a time, no faster than HINTS_PER_S for all resolvers."""
        while True:
            while not self._pending:
                self._come.clear()
                await self._come.wait()
            name = next(iter(self._pending))
            del self._pending[name]
            hint = await self._hint(name)
            if hint is not None and self._hints.is_news(hint):
                self._on_hint(hint)
                await asyncio.sleep(RESOLVERS / HINTS_PER_S)

    async def _hint(self, name: str) -> Hint | None:
        if self._zeroconf is None:
            return None
        try:
            info = AsyncServiceInfo(SERVICE_TYPE, name)
            if not await info.async_request(self._zeroconf.zeroconf, RESOLVE_TIMEOUT_MS):
                return None
        except (Error, OSError, RuntimeError, ValueError):
            return None  # a name that is none, or mDNS has just ended
        return hint_of(self._own, info.properties, info.parsed_addresses(), info.port)

    def _ip_version(self) -> IPVersion:
        versions = {ipaddress.ip_address(interface).version for interface in self._interfaces}
        return IPVersion.All if 6 in versions else IPVersion.V4Only

    def _set(self, status: str) -> None:
        if status == self.status:
            return
        self.status = status
        if status.startswith("unavailable"):
            log.warning("mdns", status=status, instead="remembered and configured peers")
        else:
            log.info("mdns", status=status)


def _is_here(address: str) -> bool:
    """Whether an interface that is up has this address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _info_of(own: Advertisement) -> AsyncServiceInfo:
    label = own.label()
    return AsyncServiceInfo(
        SERVICE_TYPE, f"{label}.{SERVICE_TYPE}", port=own.port, server=f"{label}.local.",
        properties=own.properties(), parsed_addresses=list(own.addresses),
    )  # fmt: skip
