"""How a master takes in the boxes that were admitted at a site while it was away: their
certificates come with the registers of the site."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from mesh.core.admissions import REPEATED_MAX
from mesh.hashing import sha256
from mesh.heads.certificates import read_certificate
from mesh.heads.delegations import AdmissionRefused
from mesh.heads.identity import IdentityRefused
from mesh.registers.store import Record
from node.master.authority import Authority
from node.master.errors import MasterRefused
from node.master.store import StoreRefused

log = structlog.get_logger(__name__)

RETRY_S = 5.0
"""Between two looks at the boxes that could not be taken in. Nothing else would bring them again: a
register is told of once."""
WAITING_MAX = 256
"""Boxes that wait: 16 sites that have each used up a delegation. 0.2 MiB."""
REFUSED_MAX = 16
"""Boxes that are refused until a person acts, each an alarm; who holds a delegated key can write as
many as he likes. Of more there is a line in the log."""

WAY_OUT = (
    "Until then its site alone counts it, if at all. If the box is none of yours, end its "
    "delegation: meshctl get delegations, meshctl delegate --end ID"
)


class Boxes:
    """Takes in what registers show. `changed` tells the peer of a new state; `alarm` sets what is
    wrong with a box, by what it is about, and clears it with ""."""

    def __init__(
        self,
        authority: Authority,
        changed: Callable[[], Awaitable[None]],
        alarm: Callable[[str, str], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._authority = authority
        self._changed = changed
        self._alarm = alarm
        self._retry_s = retry_s
        self._waiting: dict[bytes, str] = {}
        self._refused: set[bytes] = set()
        self._news = asyncio.Event()

    def heard(self, record: Record) -> None:
        """A register that is new: of a box, or of one that repeats what others have shown."""
        for der in [*record.body.admissions[:REPEATED_MAX], record.body.certificate]:
            if der in self._waiting or der in self._refused or not self._is_news(der):
                continue
            if len(self._waiting) >= WAITING_MAX:
                log.warning("a box is not taken in", reason="too many wait")
                return
            self._waiting[der] = ""
            self._news.set()

    async def run(self) -> None:
        """Takes in who waits, and looks again at who could not be. Cancel to end."""
        while True:
            timeout = self._retry_s if self._waiting or self._refused else None
            with suppress(TimeoutError):  # what refused them may be over: a full disk, say
                await asyncio.wait_for(self._news.wait(), timeout)
            self._news.clear()
            self._look_at_refused()
            await self._take_in()

    def _is_news(self, der: bytes) -> bool:
        try:
            certified = read_certificate(der)
        except IdentityRefused:
            return False
        if certified.tls_key in self._authority.content.revocations or self._has_node(der):
            return False
        try:
            self._authority.check_box(der)
        except AdmissionRefused:
            return True  # by a delegation that stands: why it does not count is worth a line
        except IdentityRefused:
            return False  # anybody can write such a certificate, and as many as he likes
        return True

    async def _take_in(self) -> None:
        for der in list(self._waiting):
            try:
                await asyncio.to_thread(self._authority.take_in, der)
            except IdentityRefused as refused:
                log.warning("a box is not taken in", reason=str(refused))
                self._refuse(der, refused)
            except (MasterRefused, StoreRefused) as refused:
                if self._waiting[der] != str(refused):
                    log.warning("a box is not taken in yet", reason=str(refused))
                self._waiting[der] = str(refused)
                continue
            del self._waiting[der]
        await self._changed()

    # ---- what a person must see to ----

    def _refuse(self, der: bytes, refused: IdentityRefused) -> None:
        """Nothing but a person's act makes this box a node. What an operator ended is as he wants
        it."""
        ended = isinstance(refused, AdmissionRefused) and refused.ended
        if not ended and len(self._refused) < REFUSED_MAX:
            self._refused.add(der)
            self._alarm(_subject(der), f"{refused}. {WAY_OUT}")

    def _look_at_refused(self) -> None:
        """Clears what is over, and tries again what no rule is against any more."""
        for der in list(self._refused):
            try:
                self._authority.check_box(der)
            except AdmissionRefused as refused:
                if not refused.ended and not self._has_node(der):
                    self._alarm(_subject(der), f"{refused}. {WAY_OUT}")  # maybe another rule now
                    continue
            except IdentityRefused:
                pass  # its delegation stands no more
            else:
                if not self._has_node(der):
                    self._waiting[der] = ""
            self._refused.remove(der)
            self._alarm(_subject(der), "")

    def _has_node(self, der: bytes) -> bool:
        """Whether the box was admitted anew, under whatever ID."""
        key = read_certificate(der).tls_key
        return any(node.tls_key == key for node in self._authority.content.nodes.values())


def _subject(der: bytes) -> str:
    """The box and its number, for people, and which of those that have the same."""
    box = read_certificate(der)
    return f"{box.identity.site}/{box.identity.name} ({box.serial}, {sha256(der).hex()[:8]})"
