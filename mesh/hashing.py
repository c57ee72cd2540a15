"""Digests, and who comes first: rendezvous hashing.

Rendezvous (highest random weight) hashing ranks nodes for a key so that everybody who knows the
same nodes ranks them alike, and a node that comes or goes moves only what it must
(Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
"""

import functools
import hashlib
import math
from collections.abc import Iterable, Mapping

DRAWS_KEPT = 4096
"""Draws remembered: a site of 50 with some services asks for the same ones again and again. Worst
case 1 MB."""


def sha256(data: bytes) -> bytes:
    """The 32 bytes of a blob's name."""
    return hashlib.sha256(data).digest()


def fingerprint(digests: Iterable[bytes]) -> bytes:
    """8 bytes that are equal for equal sets of digests, whatever their order."""
    whole = hashlib.sha256()
    for digest in sorted(digests):
        whole.update(len(digest).to_bytes(4, "big") + digest)
    return whole.digest()[:8]


def ranked(key: str, nodes: Iterable[str]) -> list[str]:
    """`nodes` by their rendezvous weight for `key`, highest first."""
    return sorted(nodes, key=lambda node: (_draw(key, node), node), reverse=True)


def ranked_by_weight(key: str, weights: Mapping[str, float]) -> list[str]:
    """Like `ranked`, but a node of weight 2 is first twice as often as one of weight 1.

    Weights are positive. (Weighted rendezvous: score = -weight / ln(uniform draw).)
    """

    def score(node: str) -> tuple[float, str]:
        uniform = (_draw(key, node) + 1) / (2**64 + 2)
        return (-weights[node] / math.log(uniform), node)

    return sorted(weights, key=score, reverse=True)


def first(key: str, nodes: Iterable[str]) -> str | None:
    """The first of `ranked`, or None where there are no nodes."""
    return max(nodes, key=lambda node: (_draw(key, node), node), default=None)


@functools.lru_cache(maxsize=DRAWS_KEPT)
def _draw(key: str, node: str) -> int:
    joined = f"{len(key)}:{key}{node}".encode()
    return int.from_bytes(hashlib.sha256(joined).digest()[:8], "big")
