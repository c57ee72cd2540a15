"""Comparing with each other peer what the two have in common: a fingerprint first, digests where it
differs, then only what one of them lacks; in rounds, so that whatever was missed is found."""

from collections.abc import Callable

from mesh.events import Drop, Instruction, Notice, Send
from mesh.exchange.common import Common
from mesh.exchange.frames import encode
from mesh.exchange.heads_flow import HeadsFlow
from mesh.exchange.links import Link, Links
from mesh.hashing import ranked
from mesh.journals.logs import Logs
from mesh.registers.store import Registers
from protos.peer_pb2 import Digests, Fingerprint, Want

LAN_EXCHANGE_MS = 10_000
"""Between fingerprints with one neighbour, another each time: 200 B/s in a site of 50."""
FULL_EXCHANGE_MS = 60_000
"""Between full digests, whatever the fingerprints say."""
WAN_EXCHANGE_MS = 60_000
"""Between fingerprints with a master: 36 B/s, and the link's keepalive at that."""
WAN_SILENCE_MS = 20_000
"""After a question over the WAN, how long nothing may be heard before the link is given up: a black
hole (TCP stands, the other end is gone) is noticed by nothing else, because there is no keepalive.
Worst case: an exchange later than the break, 80 s; over the slowest link a digest takes 2 s."""
STALL_MS = 1_000
"""A round later than this says that this process stood still: answers may lie unread here."""
RECHECK_MS = 200
"""After news over the WAN, before asking whether both ends have the same now."""


class Comparison:
    """The comparing part of the exchange.

    `own` is this peer's name. `shared_with` gives the registers in common with the other end of a
    link; `asks` says whether this end begins the rounds over the WAN (nodes do, masters answer).
    """

    def __init__(
        self,
        own: str,
        links: Links,
        heads: HeadsFlow,
        logs: Logs,
        shared_with: Callable[[Link], Registers],
        asks: bool,
        now_ms: int,
        wan_exchange_ms: int = WAN_EXCHANGE_MS,
    ) -> None:
        self._own = own
        self._links = links
        self._heads = heads
        self._logs = logs
        self._shared_with = shared_with
        self._asks = asks
        self._wan_exchange_ms = wan_exchange_ms
        self._lan_ms = self._full_ms = self._wan_ms = now_ms
        self._commons: dict[str, Common] = {}

    def _common(self, link: Link) -> Common:
        registers = self._shared_with(link)
        known = self._commons.get(registers.site)
        if known is None:
            known = self._commons[registers.site] = Common(self._heads, registers, self._logs)
        return known

    # ---- rounds ----

    def begin(self, peer: str, now_ms: int, echo: bool = False) -> list[Instruction]:
        """Sends the fingerprint of what is common with a peer."""
        link = self._links.open[peer]
        link.exchanged_ms, link.dirty = now_ms, False
        if not echo and link.asked_ms is None:
            link.asked_ms = now_ms
        value = self._common(link).fingerprint()
        return [Send(peer, encode(fingerprint=Fingerprint(value=value, echo=echo)), "exchange")]

    def lan_round(self, number: int, now_ms: int) -> list[Instruction]:
        """The comparison with one neighbour, where it is due."""
        if now_ms - self._lan_ms < LAN_EXCHANGE_MS:
            return []
        self._lan_ms = now_ms
        chosen = ranked(f"exchange {self._own} {number}", self._links.neighbours())[:1]
        if chosen and now_ms - self._full_ms >= FULL_EXCHANGE_MS:
            self._full_ms = now_ms
            return self._send_digests(chosen[0])
        return [i for peer in chosen for i in self.begin(peer, now_ms)]

    def wan_round(self, now_ms: int) -> list[Instruction]:
        """The comparisons over the WAN that are due, and links on which nobody answers."""
        instructions: list[Instruction] = []
        stood_still = now_ms - self._wan_ms > STALL_MS
        self._wan_ms = now_ms
        for link in self._links.wan:
            peer = link.contact.name
            if stood_still and link.asked_ms is not None:
                link.asked_ms = now_ms
            waited = now_ms - link.exchanged_ms
            asks = self._asks and waited >= self._wan_exchange_ms
            if asks or (link.dirty and waited >= RECHECK_MS):
                instructions += self.begin(peer, now_ms)
            if link.asked_ms is not None and now_ms - link.asked_ms >= WAN_SILENCE_MS:
                link.asked_ms = now_ms
                instructions.append(Drop(peer, "it answers nothing: the way to it is a black hole"))
        return instructions

    # ---- what the other says ----

    def fingerprint(
        self, theirs: Fingerprint, peer: str, link: Link, now_ms: int
    ) -> list[Instruction]:
        """The other's fingerprint: equal, or digests follow."""
        if theirs.value != self._common(link).fingerprint():
            return self._send_digests(peer)
        synced: list[Instruction] = [Notice("synced", peer)] if link.wan else []
        return synced if theirs.echo else synced + self.begin(peer, now_ms, echo=True)

    def digests(self, theirs: Digests, peer: str, link: Link) -> list[Instruction]:
        """The other's digests: it gets what it lacks, and is asked for what is lacking here."""
        frames = self._common(link).answer(theirs)
        return [Send(peer, data, "what the peer lacks, and what is lacking") for data in frames]

    def want(self, want: Want, peer: str, link: Link) -> list[Instruction]:
        """The other's wish."""
        frames = self._common(link).supply(want, self._links.neighbours())
        supplied = [Send(peer, data, "asked for") for data in frames]
        return [*supplied, *self._heads.serve(want, link.contact)]

    def _send_digests(self, peer: str) -> list[Instruction]:
        data = encode(digests=self._common(self._links.open[peer]).digests())
        return [Send(peer, data, "exchange")]
