"""Whom a node dials, and how others find it: the registers that it remembers, hints and
announcements by mDNS, and what is configured."""

import asyncio
from collections.abc import Callable, Sequence

from mesh.heads.identity import Identity
from mesh.registers.store import Registers
from node.agent import book
from node.agent.config import DiscoverySection
from node.agent.edge import now_ms
from node.agent.own_address import for_multicast
from node.net.discovery import Discovery
from node.net.mdns_records import Advertisement, Hint

REMEMBER_S = 5.0
REMEMBER_NEW_S = 0.5
NEW_MS = 10_000
"""After a start peers are learnt quickly, and kept as quickly."""


class Neighbourhood:
    """The neighbours of one node. `boot` counts its starts, `seeds` are configured addresses;
    `know` takes whom to dial, and `save` keeps a document, or returns False while the disk refuses.
    """

    def __init__(
        self,
        me: Identity,
        boot: int,
        seeds: Sequence[str],
        config: DiscoverySection,
        registers: Registers,
        know: Callable[[Identity, list[str]], None],
        save: Callable[[str, bytes], bool],
    ) -> None:
        self._me = me
        self._boot = boot
        self._mdns = config.mdns
        self._discovery = Discovery(config.interfaces)
        self._book = book.Book(me.mesh, me.site, seeds)
        self._registers = registers
        self._know = know
        self._save = save
        self._remembered = b""

    @property
    def mdns(self) -> str:
        """How discovery is doing, for people."""
        return self._discovery.status

    async def announce(self, address: str) -> None:
        """Tells by mDNS where this node is reached, and takes hints, if that is configured."""
        if self._mdns:
            await self._discovery.start(self._advertisement(address), self._hinted)

    async def moved(self, address: str) -> None:
        """This node is reached somewhere else from now on."""
        await self._discovery.update(self._advertisement(address))

    async def run(self) -> None:
        """Keeps what was learnt, and dials it. Cancel to end."""
        started_ms = now_ms()
        while True:
            self._dial()
            kept = book.remember(self._registers)
            if kept != self._remembered and self._save(book.REMEMBERED, kept):
                self._remembered = kept
            new = now_ms() - started_ms < NEW_MS
            await asyncio.sleep(REMEMBER_NEW_S if new else REMEMBER_S)

    async def stop(self) -> None:
        """Is announced no longer."""
        await self._discovery.stop()

    # ---- inside ----

    def _advertisement(self, address: str) -> Advertisement:
        host, port = for_multicast(address)
        me = self._me
        return Advertisement(me.mesh, me.site, me.name, self._boot, (host,), port)

    def _hinted(self, hint: Hint) -> None:
        self._book.hint(hint.id, hint.addresses)
        self._dial()

    def _dial(self) -> None:
        for identity, addresses in self._book.targets(self._registers):
            self._know(identity, addresses)
