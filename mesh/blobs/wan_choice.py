"""Which chunks this node fetches over the WAN, so that its site fetches each of them once.

A chunk is fetched over the WAN if it is in the site's window and nobody in view holds or claims
it, by its first owner: rendezvous hashing over the nodes that want the artifact and have a WAN
path. In the good case this needs no message. For views that differ there is a claim before each
fetch: two nodes that claim one chunk hear of it while they wait, and the lesser one yields. The
r-th owner waits r leases for the ones before it. A chunk that is under way is never hedged here.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from mesh.blobs.credit import Credit
from mesh.blobs.flights import Flight, Flights
from mesh.blobs.instructions import FetchChunks, Instruction, TellClaim
from mesh.blobs.swarm_limits import SwarmLimits
from mesh.blobs.transfer import OwnClaim, Transfer
from mesh.hashing import first


@dataclass(slots=True)
class Surroundings:
    """Who is there, as far as this node knows."""

    node: str
    live: frozenset[str] = frozenset()
    wan: frozenset[str] = frozenset()
    """The live nodes that have a WAN path."""
    sources: tuple[str, ...] = ()
    """Peers outside the site to fetch from, best first."""
    up: set[str] = field(default_factory=set)
    """The neighbours with a link to this node."""
    settled_ms: int | None = None
    """From when on the neighbours are known well enough to use the WAN."""

    @property
    def alone(self) -> bool:
        """No neighbour could claim or fetch anything."""
        return not self.up and self.live <= {self.node}

    @property
    def lowest(self) -> str:
        """The live node that salts the window's order."""
        return min(self.live | {self.node})


class WanChoice:
    """Claims and fetches chunks over the WAN, in turn with the site's other nodes."""

    def __init__(
        self, around: Surroundings, flights: Flights, credit: Credit, limits: SwarmLimits
    ) -> None:
        self._around = around
        self._flights = flights
        self._credit = credit
        self._limits = limits

    def fetch(self, transfer: Transfer, now_ms: int) -> list[Instruction]:
        """Renewals, new claims, and the requests that can be made now."""
        present = transfer.present(self._credit, now_ms)
        self._end_claims_of_others(transfer, present, now_ms)
        told = self._give_up_what_came(transfer, present)
        told += self._renew(transfer, now_ms)
        if self._may(now_ms) and now_ms >= transfer.wan_from_ms:
            told += self._claim(transfer, present, now_ms)
        else:
            transfer.waiting = {}
        return told + self._requests(transfer, now_ms)

    def give_up(self, transfer: Transfer, chunks: Collection[int]) -> list[Instruction]:
        """Ends this node's claims on `chunks`, if it has any, and says so."""
        ended = [chunk for chunk in chunks if transfer.own.pop(chunk, None) is not None]
        return [TellClaim(transfer.claim(ended, 0))] if ended else []

    def yield_to(self, transfer: Transfer, peer: str, chunks: Collection[int]) -> list[Instruction]:
        """Gives up the chunks that `peer` claims too, where it goes before this node and
        nothing was asked for yet."""
        under_way = self._flights.bits(transfer.digest)
        rivals = (self._around.node, peer)
        lost = [
            chunk
            for chunk in chunks
            if chunk in transfer.own
            and not under_way >> chunk & 1
            and first(transfer.key(chunk), rivals) == peer
        ]
        return self.give_up(transfer, lost)

    def _end_claims_of_others(self, transfer: Transfer, present: int, now_ms: int) -> None:
        claims = transfer.board.claims
        for peer in claims.expire(now_ms, transfer.patience_ms(), present):
            self._credit.broken.add(peer, 1, now_ms)

    def _give_up_what_came(self, transfer: Transfer, present: int) -> list[Instruction]:
        under_way = self._flights.bits(transfer.digest)
        moot = present & ~under_way
        return self.give_up(transfer, [c for c in sorted(transfer.own) if moot >> c & 1])

    def _renew(self, transfer: Transfer, now_ms: int) -> list[Instruction]:
        lease = transfer.lease_ms()
        due = [chunk for chunk, claim in transfer.own.items() if now_ms >= claim.renew_ms]
        for chunk in due:
            transfer.own[chunk].renew_ms = now_ms + lease // 2
        return [TellClaim(transfer.claim(due, lease))] if due else []

    def _may(self, now_ms: int) -> bool:
        settled = self._around.settled_ms
        return settled is not None and now_ms >= settled

    def _usable_sources(self, now_ms: int) -> list[str]:
        return [peer for peer in self._around.sources if self._credit.usable(peer, now_ms)]

    def _claim(self, transfer: Transfer, present: int, now_ms: int) -> list[Instruction]:
        lease = transfer.lease_ms()
        owners = self._owners(transfer, now_ms)
        free = [
            chunk
            for chunk in transfer.window(present)
            if chunk not in transfer.own
            and not transfer.board.claims.holds(chunk, now_ms)
            and self._source(transfer, chunk, now_ms) is not None
        ]
        transfer.waiting = {chunk: transfer.waiting.get(chunk, now_ms) for chunk in free}
        claimed: list[int] = []
        for chunk in free:
            before = transfer.owners(chunk, owners)
            rank = before.index(self._around.node)
            if now_ms >= transfer.waiting[chunk] + rank * lease:
                claimed.append(chunk)
                del transfer.waiting[chunk]
                for owner in before[:rank]:
                    self._credit.silent.add(owner, 1, now_ms)
        return self._told(transfer, claimed, lease, now_ms)

    def _told(
        self, transfer: Transfer, claimed: list[int], lease: int, now_ms: int
    ) -> list[Instruction]:
        wait = 0 if self._around.alone else self._limits.claim_wait_ms
        for chunk in claimed:
            transfer.own[chunk] = OwnClaim(now_ms + wait, now_ms + lease // 2)
        return [TellClaim(transfer.claim(claimed, lease))] if claimed else []

    def _owners(self, transfer: Transfer, now_ms: int) -> tuple[str, ...]:
        """Who takes turns: the neighbours that want the artifact and have a WAN path, and this
        node; without those on which there is no relying."""
        others = [
            peer
            for peer in transfer.board.fetching()
            if peer in self._around.wan and self._credit.takes_turns(peer, now_ms)
        ]
        return tuple(sorted([*others, self._around.node]))

    def _source(self, transfer: Transfer, chunk: int, now_ms: int) -> str | None:
        for peer in self._usable_sources(now_ms):
            if not transfer.denied(peer, now_ms) >> chunk & 1:
                return peer
        return None

    def _requests(self, transfer: Transfer, now_ms: int) -> list[Instruction]:
        """Asks for what was claimed long enough ago; what no source can bring is given up, so
        that another node takes it on."""
        under_way = self._flights.bits(transfer.digest)
        asked: dict[str, list[int]] = {}
        stranded: list[int] = []
        for chunk in [chunk for chunk in transfer.own if not under_way >> chunk & 1]:
            source = self._source(transfer, chunk, now_ms)
            if source is None:
                stranded.append(chunk)
            elif now_ms >= transfer.own[chunk].fetch_ms:
                asked.setdefault(source, []).append(chunk)
                length = transfer.length(chunk)
                self._flights.start(Flight(transfer.digest, chunk, source, True, length, now_ms))
        told = self.give_up(transfer, stranded)
        for source, chunks in asked.items():
            told.append(FetchChunks(source, transfer.digest, tuple(chunks), wan=True))
        return told
