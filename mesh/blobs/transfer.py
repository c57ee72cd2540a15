"""One artifact on its way to this node: what is missing, what is claimed, what the site holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.blobs import bitmaps
from mesh.blobs.board import Board
from mesh.blobs.credit import Credit
from mesh.blobs.manifest import Artifact
from mesh.blobs.swarm_limits import REQUEST_CHUNKS_MAX, SwarmLimits
from mesh.hashing import ranked, sha256
from protos.peer_pb2 import Claim, Holdings

EXPECTED_TIMES = 4
"""A lease, and the patience with a claim, in times of what a chunk is expected to take."""

AVERAGE_OVER = 4
"""A new measurement counts a quarter in the moving average."""


@dataclass(slots=True)
class OwnClaim:
    """A chunk that this node fetches over the WAN: from when, and when to renew the claim."""

    fetch_ms: int
    renew_ms: int


class Transfer:
    """The state of one artifact that is wanted and not held whole."""

    def __init__(
        self, node: str, artifact: Artifact, held: int, board: Board, limits: SwarmLimits
    ) -> None:
        self.artifact = artifact
        self.digest = artifact.digest
        self.count = len(artifact.chunks)
        self.missing = bitmaps.full(self.count) & ~held
        self.board = board
        self.own: dict[int, OwnClaim] = {}
        self.waiting: dict[int, int] = {}
        """Chunks that another owner should fetch: since when nobody does, in ms."""
        self.told_ms: int | None = None
        """When the holdings were announced last."""
        self.tell_ms: int | None = None
        """When they are to be announced again."""
        self.wan_from_ms = 0
        self.wan_ms = limits.expected_ms
        """What a chunk over the WAN takes, on average; `lan_ms`: from a neighbour."""
        self.lan_ms = 0
        self.ties = [self._draw(node, chunk) for chunk in range(self.count)]
        """Breaks ties of rarity, differently on each node."""
        self._limits = limits
        self._denied: dict[str, dict[int, int]] = {}
        self._salt: str | None = None
        self._order: list[int] = []
        self._present = 0
        self._cursor = 0
        self._owners: tuple[str, ...] = ()
        self._ranks: dict[int, list[str]] = {}

    # -- what is here --

    def holdings(self) -> Holdings:
        """What this node says of the artifact: a bitmap, of zeros while it holds nothing."""
        held = bitmaps.full(self.count) & ~self.missing
        return Holdings(artifact=self.digest, bitmap=bitmaps.to_bytes(held, self.count))

    def claim(self, chunks: Sequence[int], lease_ms: int) -> Claim:
        """What this node says of its claims on `chunks`."""
        return Claim(artifact=self.digest, chunks=sorted(chunks), lease_ms=lease_ms)

    def length(self, chunk: int) -> int:
        """Bytes of one chunk."""
        return self.artifact.chunks[chunk].length

    # -- what the site holds --

    def deny(self, source: str, chunk: int, until_ms: int) -> None:
        """The source is not asked for the chunk until then, whatever it announces."""
        self._denied.setdefault(source, {})[chunk] = until_ms

    def denied(self, source: str, now_ms: int) -> int:
        """The chunks that the source is not asked for."""
        denied = self._denied.get(source)
        if denied is None:
            return 0
        for chunk in [chunk for chunk, until_ms in denied.items() if now_ms >= until_ms]:
            del denied[chunk]
        return bitmaps.of(denied)

    def present(self, credit: Credit, now_ms: int) -> int:
        """The chunks that the site holds, as far as this node knows and relies on."""
        bits = bitmaps.full(self.count) & ~self.missing
        for peer, word in self.board.words.items():
            if credit.counts(peer, now_ms):
                bits |= word.bits & ~self.denied(peer, now_ms)
        return bits

    # -- the window over the WAN --

    @property
    def window_chunks(self) -> int:
        """How many chunks the site fetches over the WAN at once."""
        share = int(self.count * self._limits.window_share)
        in_bytes = self._limits.window_bytes // self.artifact.manifest.chunk_bytes
        wanted = max(self._limits.window_chunks_min, min(share, in_bytes))
        return min(wanted, REQUEST_CHUNKS_MAX)

    def salt(self, lowest: str) -> None:
        """Sets the order of the window, by the lowest live node: the same for a whole site,
        another for each half of one that is split, so that healing merges different chunks."""
        if lowest == self._salt:
            return
        self._salt = lowest
        self._order = sorted(range(self.count), key=lambda chunk: self._draw(lowest, chunk))
        self._cursor = 0

    def window(self, present: int) -> list[int]:
        """The first chunks in the site's order that the site does not hold."""
        if self._present & ~present:
            self._cursor = 0
        self._present = present
        while self._cursor < self.count and present >> self._order[self._cursor] & 1:
            self._cursor += 1
        chunks: list[int] = []
        for chunk in self._order[self._cursor :]:
            if not present >> chunk & 1:
                chunks.append(chunk)
            if len(chunks) == self.window_chunks:
                break
        return chunks

    def owners(self, chunk: int, owners: tuple[str, ...]) -> list[str]:
        """`owners` in the order in which they should fetch the chunk."""
        if owners != self._owners:
            self._owners = owners
            self._ranks = {}
        if chunk not in self._ranks:
            self._ranks[chunk] = ranked(self.key(chunk), owners)
        return self._ranks[chunk]

    def key(self, chunk: int) -> str:
        """The chunk's key for rendezvous hashing."""
        return f"{self.digest.hex()}:{chunk}"

    # -- times --

    def lease_ms(self) -> int:
        """How long this node's claims hold, unless they are renewed."""
        limits = self._limits
        return min(max(EXPECTED_TIMES * self.wan_ms, limits.lease_min_ms), limits.lease_max_ms)

    def patience_ms(self) -> int:
        """How long a neighbour may go on claiming a chunk that does not come."""
        limits = self._limits
        window_bytes = self.window_chunks * self.artifact.manifest.chunk_bytes
        slowest = window_bytes * 1000 // limits.wan_rate_min
        wanted = max(limits.patience_min_ms, slowest, EXPECTED_TIMES * self.wan_ms)
        return min(wanted, limits.patience_max_ms)

    def hedge_ms(self) -> int:
        """How old a request to a neighbour is when another one is asked as well."""
        return max(self._limits.hedge_min_ms, self._limits.hedge_factor * self.lan_ms)

    def took(self, wan: bool, ms: int) -> None:
        """A chunk took so long."""
        if wan:
            self.wan_ms += (ms - self.wan_ms) // AVERAGE_OVER
        else:
            self.lan_ms += (ms - self.lan_ms) // AVERAGE_OVER

    def _draw(self, salt: str, chunk: int) -> int:
        drawn = sha256(b"%d:%b%b%d" % (len(salt.encode()), salt.encode(), self.digest, chunk))
        return int.from_bytes(drawn[:8], "big")
