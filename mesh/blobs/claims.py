"""The neighbours' claims on the chunks of one artifact: "I am fetching these over the WAN".

A claim holds for its lease and can be renewed, but not for ever: where the chunk does not turn up
within the reader's patience, the claim is broken. What was given up is remembered for a while, so
that claiming and giving up in turns buys no more time. So a hostile neighbour delays the chunks
of one window, a few times, and does not stop a site.
"""

from dataclasses import dataclass

RECORDS_PER_CLAIM = 4
"""Claims remembered of a peer, for each that it may have at once: those given up are among them."""


@dataclass(slots=True)
class PeerClaim:
    """One neighbour's claim on one chunk: since when, and until when unless it is renewed."""

    first_ms: int
    until_ms: int
    given_up: bool = False


class Claims:
    """The claims of all neighbours on one artifact."""

    def __init__(self) -> None:
        self._of_peer: dict[str, dict[int, PeerClaim]] = {}

    def claim(self, peer: str, chunk: int, now_ms: int, lease_ms: int, room: int) -> bool:
        """Notes or renews a claim; False if the peer has `room` of them already."""
        claims = self._of_peer.setdefault(peer, {})
        known = claims.get(chunk)
        if known is not None:
            known.until_ms = now_ms + lease_ms
            known.given_up = False
            return True
        active = sum(not claim.given_up for claim in claims.values())
        if active >= room or len(claims) >= RECORDS_PER_CLAIM * room:
            return False
        claims[chunk] = PeerClaim(now_ms, now_ms + lease_ms)
        return True

    def give_up(self, peer: str, chunk: int, now_ms: int) -> None:
        """The peer says that it no longer fetches the chunk."""
        claim = self._of_peer.get(peer, {}).get(chunk)
        if claim is not None:
            claim.until_ms = now_ms
            claim.given_up = True

    def kept(self, peer: str, bits: int, now_ms: int) -> list[int]:
        """The peer holds the chunks in `bits`: ends its claims on them, returns how long each
        took, in ms."""
        claims = self._of_peer.get(peer, {})
        chunks = [chunk for chunk in claims if bits >> chunk & 1]
        return [now_ms - claims.pop(chunk).first_ms for chunk in chunks]

    def gone(self, peer: str) -> None:
        """Forgets a neighbour's claims."""
        self._of_peer.pop(peer, None)

    def cut(self, count: int) -> None:
        """The artifact has `count` chunks: claims beyond it are dropped."""
        for claims in self._of_peer.values():
            for chunk in [chunk for chunk in claims if chunk >= count]:
                del claims[chunk]

    def holds(self, chunk: int, now_ms: int) -> bool:
        """Whether a neighbour claims the chunk now."""
        for claims in self._of_peer.values():
            claim = claims.get(chunk)
            if claim is not None and now_ms < claim.until_ms:
                return True
        return False

    def expire(self, now_ms: int, patience_ms: int, present: int) -> list[str]:
        """Ends what ran out, or is moot because the site holds the chunk (`present`).

        Returns the peers whose claims are broken, one name a claim, sorted.
        """
        broken: list[str] = []
        for peer, claims in self._of_peer.items():
            for chunk in list(claims):
                claim = claims[chunk]
                start = claim.until_ms if claim.given_up else claim.first_ms
                out = now_ms >= start + patience_ms
                if out and not claim.given_up and not present >> chunk & 1:
                    broken.append(peer)
                if out or present >> chunk & 1:
                    del claims[chunk]
        self._of_peer = {peer: claims for peer, claims in self._of_peer.items() if claims}
        return sorted(broken)
