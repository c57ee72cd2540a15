"""Which chunks are asked of which neighbour: the rarest first, of the less loaded of two.

Rarest first keeps every chunk's copies alive; the choice between two holders, drawn differently
by each node, spreads the load almost as well as knowing all loads would (Mitzenmacher, "The power
of two choices in randomized load balancing", 2001).
"""

import heapq

from mesh.blobs import bitmaps
from mesh.blobs.credit import Credit
from mesh.blobs.flights import Flight, Flights
from mesh.blobs.instructions import FetchChunks
from mesh.blobs.swarm_limits import REQUEST_CHUNKS_MAX, SwarmLimits
from mesh.blobs.transfer import Transfer


class LanChoice:
    """Fills this node's slots with requests to neighbours."""

    def __init__(self, flights: Flights, credit: Credit, limits: SwarmLimits) -> None:
        self._flights = flights
        self._credit = credit
        self._limits = limits

    def fetch(self, transfer: Transfer, now_ms: int) -> list[FetchChunks]:
        """The requests that can be made now; they count as under way."""
        if self._flights.lan_bytes > self._limits.lan_bytes // 2:
            return []
        under_way = self._flights.bits(transfer.digest)
        holders = self._holders(transfer, now_ms)
        available = 0
        for bits in holders.values():
            available |= bits
        chunks = self._rarest(transfer, transfer.missing & ~under_way & available)
        if not chunks:
            chunks = self._late(transfer, now_ms)
        asked: dict[str, list[int]] = {}
        for chunk in chunks:
            source = self._source(transfer, chunk, holders)
            if source is not None and self._room(transfer):
                asked.setdefault(source, []).append(chunk)
                self._start(transfer, chunk, source, now_ms)
        return _requests(transfer.digest, asked)

    def _room(self, transfer: Transfer) -> bool:
        size = transfer.artifact.manifest.chunk_bytes
        return self._flights.lan_bytes + size <= self._limits.lan_bytes

    def _holders(self, transfer: Transfer, now_ms: int) -> dict[str, int]:
        """What each neighbour that may be asked now holds, sorted by name."""
        holders: dict[str, int] = {}
        for peer in sorted(transfer.board.words):
            idle = self._flights.load(peer) <= self._limits.peer_bytes // 2
            if idle and self._credit.usable(peer, now_ms):
                bits = transfer.board.words[peer].bits & ~transfer.denied(peer, now_ms)
                holders[peer] = bits
        return holders

    def _rarest(self, transfer: Transfer, candidates: int) -> list[int]:
        copies, ties = transfer.board.copies, transfer.ties
        slots = self._limits.lan_bytes // transfer.artifact.manifest.chunk_bytes
        chunks = bitmaps.members(candidates)
        return heapq.nsmallest(slots, chunks, key=lambda chunk: (copies[chunk], ties[chunk]))

    def _late(self, transfer: Transfer, now_ms: int) -> list[int]:
        """With nothing else to ask for: chunks that one source has not brought in time."""
        late: list[int] = []
        for chunk in bitmaps.members(self._flights.bits(transfer.digest)):
            flights = self._flights.of(transfer.digest, chunk)
            if len(flights) == 1 and now_ms - flights[0].started_ms >= transfer.hedge_ms():
                late.append(chunk)
        return late

    def _source(self, transfer: Transfer, chunk: int, holders: dict[str, int]) -> str | None:
        asked = {flight.source for flight in self._flights.of(transfer.digest, chunk)}
        room = self._limits.peer_bytes - transfer.length(chunk)
        able = [
            peer
            for peer, bits in holders.items()
            if bits >> chunk & 1 and peer not in asked and self._flights.load(peer) <= room
        ]
        if not able:
            return None
        drawn = transfer.ties[chunk]
        one = able[drawn % len(able)]
        other = able[(drawn // len(able)) % len(able)]
        return min(one, other, key=self._flights.load)

    def _start(self, transfer: Transfer, chunk: int, source: str, now_ms: int) -> None:
        length = transfer.length(chunk)
        self._flights.start(Flight(transfer.digest, chunk, source, False, length, now_ms))


def _requests(artifact: bytes, asked: dict[str, list[int]]) -> list[FetchChunks]:
    requests: list[FetchChunks] = []
    for source in sorted(asked):
        chunks = asked[source]
        for start in range(0, len(chunks), REQUEST_CHUNKS_MAX):
            part = tuple(chunks[start : start + REQUEST_CHUNKS_MAX])
            requests.append(FetchChunks(source, artifact, part, wan=False))
    return requests
