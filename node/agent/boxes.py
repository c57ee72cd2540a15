"""How a master takes in the boxes that were admitted at a site while it was away: their
certificates come with the registers of the site."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from mesh.core.admissions import REPEATED_MAX
from mesh.heads.certificates import read_certificate
from mesh.heads.identity import IdentityRefused
from mesh.registers.store import Record
from node.agent.tasks import Background
from node.master.authority import Authority
from node.master.errors import MasterRefused
from node.master.store import StoreRefused

log = structlog.get_logger(__name__)


class Boxes:
    """Takes in what registers show. `changed` tells the peer of a new state."""

    def __init__(self, authority: Authority, changed: Callable[[], Awaitable[None]]) -> None:
        self._authority = authority
        self._changed = changed
        self._background = Background()

    def heard(self, record: Record) -> None:
        """A register that is new: of a box, or of one that repeats what others have shown."""
        shown = [*record.body.admissions[:REPEATED_MAX], record.body.certificate]
        news = [der for der in shown if self._is_news(der)]
        if news:
            self._background.start(self._take_in(news))

    def _is_news(self, der: bytes) -> bool:
        try:
            certified = read_certificate(der)
        except IdentityRefused:
            return False
        content = self._authority.content
        node = content.nodes.get(certified.identity.name)
        enrolled = node is not None and node.tls_key == certified.tls_key
        return not enrolled and certified.tls_key not in content.revocations

    async def _take_in(self, certificates: list[bytes]) -> None:
        for der in certificates:
            try:
                await asyncio.to_thread(self._authority.take_in, der)
            except (IdentityRefused, MasterRefused, StoreRefused) as refused:
                log.warning("a box is not taken in", reason=str(refused))
        await self._changed()
