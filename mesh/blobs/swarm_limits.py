"""The swarm's limits: each with its unit, its reason and its worst case."""

from dataclasses import dataclass

from mesh.blobs.limits import CHUNKS_MAX

REQUEST_CHUNKS_MAX = 64
"""Chunks of one request, and of one claim message: the contract of `ChunkRequest`."""

BITMAP_BYTES_MAX = CHUNKS_MAX // 8
"""Bytes of a neighbour's bitmap (640), for an artifact whose manifest is not here yet."""


CLAIM_ROOM = 2
"""Claims that are heeded of one neighbour, in windows: it claims the next chunks at once, and
tells of those that came in batches."""


@dataclass(frozen=True, slots=True)
class SwarmLimits:
    """How much a node asks for at once, and how long it waits for others. Times in ms."""

    lan_bytes: int = 4 << 20
    """Bytes asked of neighbours and not yet stored, all artifacts together: four of the largest
    chunks. It bounds the memory of what is under way."""
    peer_bytes: int = 2 << 20
    """The same for one neighbour, so that one that hangs leaves half of the slots."""
    window_bytes: int = 8 << 20
    """Bytes that a site fetches over the WAN at once, per artifact: twice the bandwidth-delay
    product of 100 Mbit/s and 300 ms. What is in flight is what differing views can fetch twice."""
    window_share: float = 0.05
    """The same as a share of the artifact: the duplicates that are allowed."""
    window_chunks_min: int = 4
    """Chunks in the window of even the smallest artifact, so that the WAN does not idle."""
    batch_ms: int = 100
    """At most one announcement of an artifact's holdings in this time: with the largest bitmap
    and 49 neighbours 310 KB/s, while a transfer runs."""
    settle_ms: int = 2000
    """After the start nothing is fetched over the WAN until neighbours could be found: mDNS needs
    1.3 s. A node that starts beside neighbours that hold everything fetches nothing twice."""
    claim_wait_ms: int = 50
    """Between a claim and its fetch where there are neighbours: a claim crosses a LAN, and two
    Python processes that are busy, in less. Two that claim alike hear of it before they pay."""
    lease_min_ms: int = 2000
    """How long a claim holds at least: a frozen loop of a second must not cost a duplicate."""
    lease_max_ms: int = 60_000
    """How long a claim holds at most, whatever the neighbour says."""
    expected_ms: int = 500
    """What a chunk over the WAN is expected to take before one was measured."""
    patience_min_ms: int = 30_000
    """How long a neighbour may go on renewing a claim whose chunk does not come: the window over
    a WAN of `wan_rate_min`, or four times what was measured, but at least this."""
    patience_max_ms: int = 120_000
    """And at most this: what a neighbour that claims and never fetches can delay a site by."""
    wan_rate_min: int = 64 << 10
    """Bytes per second of the slowest WAN that is planned for."""
    broken_claims_max: int = 3
    """Claims that came to nothing, after which a neighbour's claims are not heeded."""
    silences_max: int = 3
    """Turns that an owner let pass, after which it is not counted as an owner for a while."""
    silence_ms: int = 60_000
    """That while."""
    corrupt_max: int = 3
    """Bad chunks after which a source is not asked: what a source with rotten bytes costs."""
    ban_ms: int = 600_000
    """How long it is not asked, or its claims not heeded."""
    missing_ms: int = 30_000
    """How long "I do not hold that chunk" is believed over what the same peer announces."""
    rest_ms: int = 1000
    """How long a source rests after it failed; doubles up to `rest_max_ms`."""
    rest_max_ms: int = 30_000
    failures_counted: int = 3
    """Failures in a row after which a neighbour's chunks no longer count as held in the site, so
    that they are fetched over the WAN: before, waiting costs less than a second copy."""
    hedge_factor: int = 3
    """A chunk that takes this many times what neighbours took on average is asked for again, from
    another neighbour, if there is nothing else to ask for. Never over the WAN."""
    hedge_min_ms: int = 1000
    flight_max_ms: int = 120_000
    """A chunk of which the caller reported nothing for so long is asked for again."""
    poll_ms: int = 250
    """While something is missing, time is looked at this often: what waits for no message."""
    artifacts_per_peer: int = 128
    """Artifacts of which one neighbour's word is kept: 80 KiB a neighbour at worst."""


DEFAULT_LIMITS = SwarmLimits()
