"""Links without a network: they do what the real ones promise (node/net/links.py)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from mesh.heads.identity import Identity
from node.agent.links import Links
from node.net.failures import DialFailed
from tests.sim import identities

MASTER = Identity(identities.MESH, "master", "master-1")


def node(name: str) -> Identity:
    """A neighbour."""
    return identities.node_identity("north", name)


class FakeLink:
    """One end of a link with a peer. `arrive` brings a frame."""

    def __init__(self, identity: Identity, *, dialled: bool = True, wan: bool = False) -> None:
        self.peer = identities.certificate(identity)
        self.dialled, self.wan = dialled, wan
        self.sent_bytes = self.received_bytes = 0
        self.reason: str | None = None
        self.sent: list[bytes] = []
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, frame: bytes) -> bool:
        self.sent.append(frame)
        self.sent_bytes += len(frame)
        return self.reason is None

    def arrive(self, frame: bytes) -> None:
        self.received_bytes += len(frame)
        self._frames.put_nowait(frame)

    def close(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            self._frames.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._frames.get()) is not None:
            yield frame


class Network:
    """What is dialled succeeds where the address is in `up`; every attempt is kept. What is in
    `slow` answers once that event is set."""

    def __init__(self, own: str = "b") -> None:
        self.up: set[str] = set()
        self.refusing: set[str] = set()
        self.slow: dict[str, asyncio.Event] = {}
        self.dialled: list[str] = []
        self.made: list[FakeLink] = []
        self.every: list[FakeLink] = []
        self.fed: list[Any] = []
        self.links = Links(own, self.fed.append, self.dial)  # type: ignore[arg-type]

    async def close(self) -> None:
        """Ends all links, and lets whoever serves them see it."""
        for link in self.every:
            link.close("the test is over")
        while self.links._background._tasks:
            await asyncio.gather(*self.links._background._tasks, return_exceptions=True)

    async def dial(self, address: str, identity: Identity, wan: bool) -> FakeLink:
        self.dialled.append(address)
        await asyncio.sleep(0)
        if address in self.slow:
            await self.slow[address].wait()
        if address in self.refusing:
            raise DialFailed("refused", f"{address}: was revoked: stolen")
        if address not in self.up:
            raise DialFailed("unreachable", f"{address}: nobody answers")
        link = FakeLink(identity, dialled=True, wan=wan)
        self.made.append(link)
        self.every.append(link)
        return link

    def accept(self, link: FakeLink) -> FakeLink:
        self.every.append(link)
        self.links.accepted(link)  # type: ignore[arg-type]
        return link

    def said(self) -> list[tuple[str, str]]:
        """Which events were fed, and about whom."""
        return [(type(e).__name__, getattr(e, "peer", "") or e.contact.name) for e in self.fed]
