"""The swarm: one node's part in bringing artifacts to its site.

Events in, instructions out. Rules kept: neighbours first; over the WAN each chunk once per site
(`wan_choice`), and a claim before its fetch; a source with bad bytes is not asked again; a word
of a neighbour is checked against the artifact before it counts; missing information costs bytes
at worst and never completes anything. What a node says of itself is sent at once when it begins
and ends, and batched between.
"""

from collections.abc import Collection, Sequence

from mesh.blobs import bitmaps
from mesh.blobs.boards import Boards
from mesh.blobs.credit import Credit
from mesh.blobs.flights import Flight, Flights
from mesh.blobs.instructions import ArtifactComplete, Fault, Instruction, TellClaim, TellHoldings
from mesh.blobs.lan_choice import LanChoice
from mesh.blobs.manifest import Artifact
from mesh.blobs.swarm_limits import CLAIM_ROOM, DEFAULT_LIMITS, REQUEST_CHUNKS_MAX, SwarmLimits
from mesh.blobs.transfer import Transfer
from mesh.blobs.wan_choice import Surroundings, WanChoice
from protos.peer_pb2 import Claim, Holdings


class Swarm:
    """Plans which chunks this node fetches, from where, and what it tells its neighbours.

    All times are milliseconds of one monotonic clock. Each method returns the instructions that
    follow, to be carried out in order. The caller calls `tick` at `next_tick_ms` or later.
    """

    def __init__(self, node: str, limits: SwarmLimits = DEFAULT_LIMITS) -> None:
        self._node = node
        self._limits = limits
        self._around = Surroundings(node)
        self._boards = Boards(limits.artifacts_per_peer)
        self._transfers: dict[bytes, Transfer] = {}
        self._complete: set[bytes] = set()
        self._flights = Flights()
        self._credit = Credit(limits)
        self._lan = LanChoice(self._flights, self._credit, limits)
        self._wan = WanChoice(self._around, self._flights, self._credit, limits)
        self.ignored = 0
        """Messages and parts of messages that could not be true, or were too many."""

    # -- who is there --

    def members(
        self, live: Collection[str], wan: Collection[str], now_ms: int
    ) -> list[Instruction]:
        """The live nodes of the site, and those of them with a working WAN path; with this node."""
        around = self._around
        if around.settled_ms is None:
            around.settled_ms = now_ms + self._limits.settle_ms
        around.live = frozenset(live)
        around.wan = frozenset(wan)
        for transfer in self._transfers.values():
            transfer.salt(around.lowest)
        return self._plan(now_ms)

    def wan_sources(self, peers: Sequence[str], now_ms: int) -> list[Instruction]:
        """Peers outside the site to fetch from, best first; none while there is no WAN path."""
        self._around.sources = tuple(peers)
        return self._plan(now_ms)

    def peer_up(self, peer: str, now_ms: int) -> list[Instruction]:
        """There is a link to a neighbour of the site: it is told what this node holds."""
        self._around.up.add(peer)
        told: list[Instruction] = []
        for digest in sorted(self._complete | self._transfers.keys()):
            told.append(TellHoldings(peer, self._holdings_of(digest)))
        for transfer in self._transfers.values():
            if transfer.own:
                told.append(TellClaim(transfer.claim(list(transfer.own), transfer.lease_ms())))
        return told + self._plan(now_ms)

    def peer_down(self, peer: str, now_ms: int) -> list[Instruction]:
        """The link is gone, and with it what the neighbour said and what was asked of it."""
        self._around.up.discard(peer)
        self._boards.gone(peer)
        for flight in self._flights.all():
            if flight.source == peer:
                self._flights.end(flight)
        self._tidy()
        return self._plan(now_ms)

    # -- what this node wants and holds --

    def want(self, artifact: Artifact, held: Collection[int], now_ms: int) -> list[Instruction]:
        """Fetches the artifact, of which the chunks `held` are stored. Idempotent: for one under
        way it only adds to what is held. One that was complete and has lost chunks starts anew."""
        count = len(artifact.chunks)
        bits = bitmaps.of(chunk for chunk in held if 0 <= chunk < count)
        transfer = self._transfers.get(artifact.digest)
        if transfer is not None:
            for chunk in bitmaps.members(bits & transfer.missing):
                self._end(transfer, chunk)
            return self._came(transfer, now_ms)
        whole = bits == bitmaps.full(count)
        if whole and artifact.digest in self._complete:
            return []
        self._complete.discard(artifact.digest)
        return self._came(self._begin(artifact, bits, now_ms), now_ms)

    def hold(self, artifact: Artifact, now_ms: int) -> list[Instruction]:
        """The artifact is held whole: neighbours are told, and served."""
        digest = artifact.digest
        if digest in self._complete:
            return []
        told = self._drop(digest)
        self._complete.add(digest)
        return [*told, TellHoldings(None, self._holdings_of(digest)), *self._plan(now_ms)]

    def forget(self, artifact: bytes, now_ms: int) -> list[Instruction]:
        """The artifact is no longer wanted or held. The caller ends its fetches of it."""
        if artifact not in self._complete and artifact not in self._transfers:
            return []
        told = self._drop(artifact)
        self._complete.discard(artifact)
        self._tidy()
        gone = Holdings(artifact=artifact)
        return [*told, TellHoldings(None, gone), *self._plan(now_ms)]

    # -- what neighbours say --

    def holdings(self, peer: str, message: Holdings, now_ms: int) -> list[Instruction]:
        """A neighbour says which chunks it holds."""
        board = self._boards.for_word(peer, message.artifact) if self._linked(peer) else None
        if board is None:
            self.ignored += 1
            return []
        before = board.bits(peer)
        if not board.said(peer, message):
            self.ignored += 1
            return []
        if peer not in board.words:
            self._boards.silent(peer, message.artifact)
            self._tidy()
        after = board.bits(peer)
        took = board.claims.kept(peer, after, now_ms)
        transfer = self._transfers.get(message.artifact)
        if transfer is None:
            return []
        self._progress(transfer, peer, took)
        news = (before ^ after) & transfer.missing or not before
        return self._plan(now_ms) if news else []

    def claimed(self, peer: str, message: Claim, now_ms: int) -> list[Instruction]:
        """A neighbour says that it fetches chunks over the WAN, or no longer does."""
        chunks = message.chunks[:REQUEST_CHUNKS_MAX]
        board = self._boards.for_word(peer, message.artifact) if self._linked(peer) else None
        if board is None or not self._credit.heeded(peer, now_ms):
            self.ignored += 1
            return []
        self.ignored += len(message.chunks) - len(chunks)
        transfer = self._transfers.get(message.artifact)
        if message.lease_ms == 0:
            for chunk in chunks:
                board.claims.give_up(peer, chunk, now_ms)
            return [] if transfer is None else self._plan(now_ms)
        lease = min(message.lease_ms, self._limits.lease_max_ms)
        room = REQUEST_CHUNKS_MAX if transfer is None else CLAIM_ROOM * transfer.window_chunks
        noted = [
            chunk
            for chunk in chunks
            if (board.count is None or chunk < board.count)
            and board.claims.claim(peer, chunk, now_ms, lease, room)
        ]
        self.ignored += len(chunks) - len(noted)
        return [] if transfer is None else self._wan.yield_to(transfer, peer, noted)

    def stranded(self) -> list[bytes]:
        """The artifacts that neighbours can get nowhere: none of them holds all of it, and none
        that fetches it has a WAN path."""
        return self._boards.stranded(self._around.wan)

    # -- what became of a request --

    def stored(self, artifact: bytes, chunk: int, now_ms: int) -> list[Instruction]:
        """A chunk's length and hash were right, and it was written."""
        transfer = self._transfers.get(artifact)
        if transfer is None or not transfer.missing >> chunk & 1:
            return []
        flights = self._flights.of(artifact, chunk)
        if len(flights) == 1:
            transfer.took(flights[0].wan, now_ms - flights[0].started_ms)
            self._credit.worked(flights[0].source)
        self._end(transfer, chunk)
        return self._came(transfer, now_ms)

    def failed(
        self, artifact: bytes, chunks: Sequence[int], source: str, fault: Fault, now_ms: int
    ) -> list[Instruction]:
        """Chunks did not come from the source that they were asked of."""
        self._blame(source, fault, len(chunks), now_ms)
        transfer = self._transfers.get(artifact)
        if transfer is None:
            return []
        ended: list[int] = []
        for chunk in chunks:
            for flight in self._flights.of(artifact, chunk):
                if flight.source == source:
                    self._flights.end(flight)
                    ended.append(chunk)
            self._deny(transfer, source, chunk, fault, now_ms)
        return [*self._wan.give_up(transfer, ended), *self._plan(now_ms)]

    # -- time --

    def tick(self, now_ms: int) -> list[Instruction]:
        """Does what waits for time alone: announcements, turns, renewals, late chunks."""
        if not self._transfers:  # nothing is under way without one
            return []
        told: list[Instruction] = []
        for flight in self._flights.all():
            if now_ms >= flight.started_ms + self._limits.flight_max_ms:
                told += self._abandon(flight, now_ms)
        for transfer in self._transfers.values():
            if transfer.tell_ms is not None and now_ms >= transfer.tell_ms:
                told.append(self._tell(transfer, now_ms))
        return told + self._plan(now_ms)

    def next_tick_ms(self, now_ms: int) -> int | None:
        """When `tick` is due; None while nothing is missing."""
        if not self._transfers:
            return None
        due = [now_ms + self._limits.poll_ms]
        for transfer in self._transfers.values():
            under_way = self._flights.bits(transfer.digest)
            own = transfer.own.items()
            due += [claim.fetch_ms for chunk, claim in own if not under_way >> chunk & 1]
            due += [transfer.tell_ms] if transfer.tell_ms is not None else []
            due += [transfer.wan_from_ms] if transfer.wan_from_ms > now_ms else []
        return max(min(due), now_ms)

    # -- inside --

    def _begin(self, artifact: Artifact, held: int, now_ms: int) -> Transfer:
        board = self._boards.of(artifact.digest)
        board.know(len(artifact.chunks))
        transfer = Transfer(self._node, artifact, held, board, self._limits)
        transfer.salt(self._around.lowest)
        # Where others may want it at the same moment, they are heard first.
        wait = 0 if self._around.alone else self._limits.claim_wait_ms
        transfer.wan_from_ms = now_ms + wait
        self._transfers[artifact.digest] = transfer
        return transfer

    def _end(self, transfer: Transfer, chunk: int) -> None:
        """The chunk is here: its claim and its flights end."""
        transfer.missing ^= 1 << chunk
        transfer.own.pop(chunk, None)
        for flight in self._flights.of(transfer.digest, chunk):
            self._flights.end(flight)

    def _came(self, transfer: Transfer, now_ms: int) -> list[Instruction]:
        """Chunks came: completes the transfer, or announces what came and asks for more."""
        if transfer.missing:
            return [*self._announce(transfer, now_ms), *self._plan(now_ms)]
        digest = transfer.digest
        told = self._drop(digest)
        self._complete.add(digest)
        whole = TellHoldings(None, self._holdings_of(digest))
        return [*told, whole, ArtifactComplete(digest), *self._plan(now_ms)]

    def _announce(self, transfer: Transfer, now_ms: int) -> list[Instruction]:
        next_ms = now_ms
        if transfer.told_ms is not None:
            next_ms = max(now_ms, transfer.told_ms + self._limits.batch_ms)
        if next_ms == now_ms:
            return [self._tell(transfer, now_ms)]
        transfer.tell_ms = next_ms
        return []

    def _tell(self, transfer: Transfer, now_ms: int) -> TellHoldings:
        transfer.told_ms = now_ms
        transfer.tell_ms = None
        return TellHoldings(None, transfer.holdings())

    def _holdings_of(self, digest: bytes) -> Holdings:
        transfer = self._transfers.get(digest)
        if transfer is None:
            return Holdings(artifact=digest, complete=True)
        return transfer.holdings()

    def _drop(self, digest: bytes) -> list[Instruction]:
        """Ends the transfer, if there is one: its claims and what is under way for it."""
        transfer = self._transfers.pop(digest, None)
        if transfer is None:
            return []
        for flight in self._flights.all():
            if flight.artifact == digest:
                self._flights.end(flight)
        return self._wan.give_up(transfer, sorted(transfer.own))

    def _plan(self, now_ms: int) -> list[Instruction]:
        told: list[Instruction] = []
        for transfer in self._transfers.values():
            told += self._lan.fetch(transfer, now_ms)
            told += self._wan.fetch(transfer, now_ms)
        return told

    def _linked(self, peer: str) -> bool:
        return peer in self._around.up

    def _progress(self, transfer: Transfer, peer: str, took: list[int]) -> None:
        """What a neighbour claimed has come, each chunk after so many ms."""
        for ms in took:
            transfer.took(True, min(ms, self._limits.patience_max_ms))
            self._credit.broken.clear(peer)
            self._credit.silent.clear(peer)

    def _blame(self, source: str, fault: Fault, count: int, now_ms: int) -> None:
        if fault is Fault.CORRUPT:
            self._credit.corrupt.add(source, count, now_ms)
        elif fault is not Fault.MISSING:
            self._credit.failed(source, now_ms)

    def _deny(self, transfer: Transfer, source: str, chunk: int, fault: Fault, now_ms: int) -> None:
        if fault is Fault.CORRUPT:
            transfer.deny(source, chunk, now_ms + self._limits.ban_ms)
        elif fault is Fault.MISSING:
            transfer.deny(source, chunk, now_ms + self._limits.missing_ms)

    def _abandon(self, flight: Flight, now_ms: int) -> list[Instruction]:
        chunks = (flight.chunk,)
        return self.failed(flight.artifact, chunks, flight.source, Fault.SLOW, now_ms)

    def _tidy(self) -> None:
        self._boards.tidy(set(self._transfers))
