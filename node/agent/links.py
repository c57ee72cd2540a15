"""The links of one daemon: who is dialled, when, and which of two links is kept.

Neighbours are dialled for ever, dead or not, at every address that is known of them. Between two
nodes one link is enough: of two that are made at once both ends keep the one that the lower ID
dialled; of two made one after the other, the newer, because its other end knows no older one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from mesh.core.messages import Trouble
from mesh.events import Contact, DialFailed, LinkDown, LinkUp, Received
from mesh.heads.certificates import Certified
from mesh.heads.identity import Identity
from node.agent.backoff import Backoff
from node.agent.tasks import Background
from node.net.failures import DialFailed as DialError
from node.net.links import Link

LAN_RETRY_FIRST_S = 0.25
LAN_RETRY_MAX_S = 5.0
"""With the time that an attempt takes, parts of a split are linked well within the 10 s in which a
site is to agree after it."""
LAN_RETRY_EACH_S = 0.5
"""In a large site the waits are longer: many try at once, and one link between two parts will do.
So no node dials more often than this, on average, however many are gone."""
SAME_TIME_S = 2.0
"""Two links within this time were dialled at once, one from each end."""
STEADY_S = 5.0
"""A link that stood so long was a good one: when it breaks, it is dialled again at once. One that
ends sooner counts as a failed attempt, or two ends that do not agree would dial without a pause."""

log = structlog.get_logger(__name__)


def retry_max_s(neighbours: int) -> float:
    """The longest wait before one of so many neighbours is dialled again."""
    return max(LAN_RETRY_MAX_S, neighbours * LAN_RETRY_EACH_S)


@dataclass
class Target:
    """A neighbour that is dialled, and where."""

    identity: Identity
    addresses: list[str]
    backoff: Backoff = field(default_factory=lambda: Backoff(LAN_RETRY_FIRST_S, LAN_RETRY_MAX_S))
    next_s: float = 0.0
    dialling: bool = False
    refusal: str | None = None
    """Why it refused the last attempt, "" if it did not; None: nothing was tried yet."""


@dataclass
class _Open:
    link: Link
    since_s: float


def contact_of(certified: Certified) -> Contact:
    """The core's view of who is at the other end."""
    identity = certified.identity
    return Contact(
        identity.name, identity.role, identity.site, certified.tls_key, certified.signing_key
    )


class Links:
    """All links of a daemon. `feed` takes the core's events, `dial` opens a link."""

    def __init__(
        self,
        own: str,
        feed: Callable[[Any], None],
        dial: Callable[[str, Identity, bool], Awaitable[Link]],
    ) -> None:
        self._own = own
        self._feed = feed
        self._dial = dial
        self._open: dict[str, _Open] = {}
        self._targets: dict[str, Target] = {}
        self._background = Background()
        self._news = asyncio.Event()
        """Somebody may be due to be dialled earlier than it was thought."""
        self._closed_bytes = {"sent": 0, "received": 0}
        self._refusal = ""

    # ---- what is known ----

    def linked(self, peer: str) -> bool:
        """Whether a link with the peer stands."""
        return peer in self._open

    def open(self) -> list[tuple[str, Link, bool, float]]:
        """The links that stand: peer, link, whether it leaves the site, monotonic start."""
        return [(p, o.link, o.link.wan, o.since_s) for p, o in sorted(self._open.items())]

    def wan_bytes(self) -> dict[str, int]:
        """Payload over links that leave the site, since the start: sent and received."""
        total = dict(self._closed_bytes)
        for opened in self._open.values():
            if opened.link.wan:
                total["sent"] += opened.link.sent_bytes
                total["received"] += opened.link.received_bytes
        return total

    # ---- the core's wishes ----

    def send(self, peer: str, data: bytes) -> None:
        """Hands a frame to the link with the peer; without a link it is dropped."""
        opened = self._open.get(peer)
        if opened is not None:
            opened.link.send(data)

    def drop(self, peer: str, cause: str) -> None:
        """Closes the link with the peer."""
        opened = self._open.get(peer)
        if opened is not None:
            log.info("link closed", peer=peer, cause=cause)
            opened.link.close(cause)

    # ---- links come and go ----

    def accepted(self, link: Link) -> None:
        """A peer dialled us."""
        self._keep(link)

    def _keep(self, link: Link) -> asyncio.Task[None]:
        """Takes a new link in, at once: whoever drops it next must find it."""
        return self._background.start(self._serve(link, self._take(link)))

    def _take(self, link: Link) -> _Open | None:
        """The link as it is kept; None if the one that stands already stays."""
        peer = link.peer.identity.name
        before = self._open.get(peer)
        if before is not None:
            if self._keeps(before, peer, link.dialled):
                link.close("there is a link already")
                return None
            self._forget(peer, before, "a newer link took its place")
        opened = self._open[peer] = _Open(link, time.monotonic())
        self._say_if_turned_away()
        self._feed(LinkUp(contact_of(link.peer), link.wan))
        return opened

    async def _serve(self, link: Link, opened: _Open | None) -> None:
        if opened is None:
            return
        peer = link.peer.identity.name
        reason = "this daemon failed on what the peer sent"
        try:
            async for data in link:
                self._feed(Received(peer, data))
            reason = link.reason or "closed"
        finally:
            # A link that nobody reads must not look alive.
            self._forget(peer, opened, reason)

    def _keeps(self, before: _Open, peer: str, dialled: bool) -> bool:
        """Whether the older of two links stays."""
        if before.link.dialled == dialled or time.monotonic() - before.since_s > SAME_TIME_S:
            return False
        lower_dialled_before = before.link.dialled == (self._own < peer)
        return lower_dialled_before

    def _forget(self, peer: str, opened: _Open, reason: str) -> None:
        opened.link.close(reason)
        if self._open.get(peer) is not opened:
            return
        del self._open[peer]
        if opened.link.wan:
            self._closed_bytes["sent"] += opened.link.sent_bytes
            self._closed_bytes["received"] += opened.link.received_bytes
        target = self._targets.get(peer)
        if target is not None and time.monotonic() - opened.since_s >= STEADY_S:
            target.next_s = 0.0  # a broken connection is a reason to probe at once
            target.backoff.reset()
        elif target is not None:
            target.next_s = time.monotonic() + target.backoff.next_s()
        self._news.set()
        self._feed(LinkDown(peer, reason))

    # ---- dialling ----

    def know(self, identity: Identity, addresses: list[str]) -> None:
        """A neighbour and all addresses known of it, the best first."""
        if identity.name == self._own or not addresses:
            return
        target = self._targets.get(identity.name)
        if target is None:
            self._targets[identity.name] = Target(identity, addresses)
            most_s = retry_max_s(len(self._targets))
            for one in self._targets.values():
                one.backoff.max_s = most_s
            self._news.set()
        elif target.addresses != addresses:
            target.addresses = addresses
            target.next_s = 0.0
            self._news.set()

    def known(self) -> dict[str, list[str]]:
        """The neighbours that are dialled, and where."""
        return {name: target.addresses for name, target in sorted(self._targets.items())}

    async def dial_neighbours(self) -> None:
        """Dials neighbours without a link, for ever. Cancel to end."""
        while True:
            self._news.clear()
            wait_s = self._dial_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    def _dial_due(self) -> float:
        """Begins to dial whoever is due; seconds until somebody else may be."""
        now = time.monotonic()
        wait_s = retry_max_s(len(self._targets))
        for name, target in self._targets.items():
            if name in self._open or target.dialling:
                continue
            if now < target.next_s:
                wait_s = min(wait_s, target.next_s - now)
            else:
                target.dialling = True
                self._background.start(self._dial_one(name, target))
        return wait_s

    async def _dial_one(self, name: str, target: Target) -> None:
        reason = refusal = ""
        try:
            for address in target.addresses:
                try:
                    link = await self._dial(address, target.identity, False)
                except DialError as error:
                    reason = str(error)
                    if error.kind == "refused":
                        refusal = refusal or reason
                    continue
                self._keep(link)
                return
            if name not in self._open:
                self._feed(DialFailed(name, reason))
        finally:
            # Whatever went wrong, the next attempt waits: a fault here must not become a storm.
            if name not in self._open:
                target.next_s = time.monotonic() + target.backoff.next_s()
            target.dialling = False
            target.refusal = refusal
            self._news.set()
        self._say_if_turned_away()

    def _say_if_turned_away(self) -> None:
        """All neighbours that were reached know this node and do not serve it; or one is linked
        with it, and what another says may be wrong: that one is believed only once all others were
        tried. Each names itself: the first that refuses is told."""
        refusals = [target.refusal for target in self._targets.values()]
        if any(not opened.link.wan for opened in self._open.values()):
            why = ""
        elif None in refusals:
            return
        else:
            why = next(filter(None, refusals), self._refusal)
        if bool(why) != bool(self._refusal):
            self._refusal = why
            self._feed(Trouble("TurnedAway", "neighbours", why, "critical"))

    async def dial_wan(self, address: str, identity: Identity) -> asyncio.Task[None]:
        """Opens a link with a master. Raises DialError. The task ends with the link."""
        link = await self._dial(address, identity, True)
        return self._keep(link)
