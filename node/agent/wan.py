"""The way to a master: who of a site holds the link, and who knows that his path works.

The gateway holds the link. While nobody has a working path, every node tries for one, each with its
own jittered wait, so the first to succeed brings the site back. A node that is not the gateway
checks its own path now and then, because chunks come over every working path, and whenever the
gateway changes, because a path that ended for one has often ended for all.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from mesh.core.messages import Trouble, WanPath
from mesh.heads.identity import Identity
from node.agent.backoff import Backoff
from node.agent.links import STEADY_S, Links
from node.net.failures import DialFailed as DialError

RETRY_FIRST_S = 0.5
STEP_DOWN_S = 5.0
"""How long a node that is no longer the gateway keeps its link: the new one takes over first."""
CHECK_S = 300.0
"""Between two checks of a path that is not used: 5 KB each, 17 B/s."""
CHECK_FIRST_S = 3.0
LOOK_S = 0.5
"""Between two looks at who the gateway is: more often costs every node CPU for ever, and a site
takes seconds to find that its gateway is gone."""
CHECK_SOON_S = 0.3
"""After the gateway changed."""
CHECK_BACK_S = 5.0
"""After another node found a path where nobody had one: this node's own may be back as well, and
chunks that only it wants come over it alone. Drawn: a site is not to come back in one herd."""

log = structlog.get_logger(__name__)


class WanKeeper:
    """Holds, or tries for, this node's link with a master."""

    def __init__(
        self,
        links: Links,
        feed: Callable[[Any], None],
        masters: Sequence[tuple[Identity, str]],
        wants_link: Callable[[], bool],
        gateway: Callable[[], str | None],
        retry_max_s: float,
        step_down_s: float = STEP_DOWN_S,
        check_first_s: float = CHECK_FIRST_S,
    ) -> None:
        self._links = links
        self._feed = feed
        self._masters = masters
        self._wants_link = wants_link
        self._gateway = gateway
        self._backoff = Backoff(RETRY_FIRST_S, retry_max_s)
        self.since_ms = time.time_ns() // 1_000_000
        self.up = False
        self._logged = (False, "")
        self._refusal = ""
        self._step_down_s = step_down_s
        self._check_at = time.monotonic() + random.uniform(0, check_first_s)

    @property
    def why_not(self) -> str:
        """Why there was no way when this node looked last; "" if there was."""
        up, reason = self._logged
        return "" if up else reason

    async def run(self) -> None:
        """Keeps at it. Cancel to end."""
        gateway = self._gateway()
        while self._masters:
            before, gateway = gateway, self._gateway()
            if gateway != before and self.up:
                self._check_at = time.monotonic() + random.uniform(0, CHECK_SOON_S)
            elif gateway is not None and before is None:
                back = time.monotonic() + random.uniform(0, CHECK_BACK_S)
                self._check_at = min(self._check_at, back)
            if self._wants_link():
                await self._hold()
            elif time.monotonic() >= self._check_at:
                await self._check()
            else:
                await asyncio.sleep(LOOK_S)

    async def _hold(self) -> None:
        link = await self._try()
        if link is None:
            await asyncio.sleep(self._backoff.next_s())
            return
        since_s = time.monotonic()
        unwanted_s: float | None = None
        while not link.done():
            await asyncio.wait([link], timeout=LOOK_S)
            if self._wants_link():
                unwanted_s = None
            elif unwanted_s is None:
                unwanted_s = time.monotonic()
            elif time.monotonic() - unwanted_s > self._step_down_s:
                self._close("another node is the gateway")
                self._check_at = time.monotonic() + CHECK_S * random.uniform(0.75, 1.25)
                return
        self._say(False, "the link with the master ended")
        if time.monotonic() - since_s >= STEADY_S:
            self._backoff.reset()
        else:  # a master that lets in and shuts out at once is not dialled without a pause
            await asyncio.sleep(self._backoff.next_s())

    async def _check(self) -> None:
        self._check_at = time.monotonic() + CHECK_S * random.uniform(0.75, 1.25)
        if await self._try() is not None and not self._wants_link():
            self._close("the path works; another node is the gateway")

    async def _try(self) -> asyncio.Task[None] | None:
        reason = ""
        for identity, address in self._masters:
            try:
                link = await self._links.dial_wan(address, identity)
            except DialError as error:
                reason = str(error)
                if error.kind == "refused":
                    self._turned_away(reason)
                continue
            self._turned_away("")
            self._say(True, f"{identity.name} at {address}")
            return link
        self._say(False, reason)
        return None

    def _turned_away(self, why: str) -> None:
        """A master knows this node and does not serve it: its neighbours will not, either."""
        if why != self._refusal:
            self._refusal = why
            self._feed(Trouble("TurnedAway", "master", why, "critical"))

    def _close(self, cause: str) -> None:
        for identity, _ in self._masters:
            self._links.drop(identity.name, cause)

    def _say(self, up: bool, reason: str) -> None:
        if up != self.up:
            self.up, self.since_ms = up, time.time_ns() // 1_000_000
        if (up, reason) != self._logged:  # also a reason that changed: revoked is not unreachable
            self._logged = (up, reason)
            log.info("the way to the master", up=up, reason=reason)
        self._feed(WanPath(up, reason))
