"""Which artifacts a node keeps on its disk, which it fetches for its site, and which may go.

- What a node runs, stages, keeps ready, or would go back to, it keeps.
- The first two nodes of the roster by rendezvous, an artifact's *keepers*, keep what the plan needs
  and the last good versions of their neighbours. They fetch what the plan needs, though they run
  nothing of it: so a site holds each artifact of its plan twice, whoever dies.
- Any other node lets go of those only while both keepers live, go by the same state as it does, and
  say that they hold them.
- Where anything that this rests on is not known, nothing goes. A node of the roster that nobody
  here has ever seen is waited for for UNSEEN_MS; then it counts as one that holds nothing.

Two nodes that go by different states may name different keepers. That loses nothing: who counts on
a keeper asks for one that goes by the same state, and that one then counts itself a keeper, too.
"""

import functools
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field

from mesh.hashing import ranked

KEEPERS = 2
"""Nodes of a site that hold each artifact of its plan: one may be lost with its disk."""
GRACE_MS = 3_600_000
"""For so long nothing must have had a use for an artifact before it goes: operators go back and
forth between versions within minutes, rollouts are undone, and a fetch over a site's WAN costs
minutes and money. Worst case: what an hour of pushes brings stays on the disk, unless room is
short."""
PRESSED_MS = 10_000
"""The same where the disk is short of room: long enough that a plan, which comes in parts over a
link that breaks, or a neighbour's register, is no reason to throw away and fetch again."""
UNSEEN_MS = 3_600_000
"""For so long nothing goes for want of the register of a node of the roster. It would name the last
good versions there; a node that is up keeps those itself, so what is risked is a second copy. A
site's nodes come up together after minutes; who has not come in an hour may never have been
switched on. It begins anew with the agent, as GRACE_MS, which follows it, does."""

KEEPERS_KEPT = 256
"""Pairs of keepers that are remembered, for they are asked for at each decision: 64 KiB."""
KEEPER = "kept for the site"
"""Why a keeper holds what it does not use itself."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a node's keeping rests on.

    `uses`: the artifacts that the node itself has a use for, and which use. `planned`: what the
    plan in force needs at this site, with pins and local changes. `good`: the last good versions
    that registers name. `holders`: of the live nodes that go by the same state as this one, what
    each says that it holds. `unknown`: what of all this is not known; "" where all is.
    """

    node: str
    uses: Mapping[bytes, str]
    planned: Set[bytes]
    good: Set[bytes]
    roster: frozenset[str]
    holders: Mapping[str, Collection[bytes]]
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows: artifacts to `keep`, with the reason; those to `fetch` as a keeper; and those
    held that the node has no use for (`idle`), with what still keeps them from going, or ""."""

    keep: Mapping[bytes, str] = field(default_factory=dict)
    fetch: frozenset[bytes] = frozenset()
    idle: Mapping[bytes, str] = field(default_factory=dict)


@functools.lru_cache(maxsize=KEEPERS_KEPT)
def keepers(artifact: bytes, roster: frozenset[str]) -> tuple[str, ...]:
    """The nodes that hold an artifact of the plan, whoever runs it."""
    return tuple(ranked(f"keep {artifact.hex()}", roster)[:KEEPERS])


def judge(known: Known, held: Collection[bytes]) -> Judgement:
    """What is to be kept, fetched, and may go, of the artifacts `held` here and the plan's."""
    keep = dict(known.uses)
    mine = {one for one in known.planned if known.node in keepers(one, known.roster)}
    mine |= {one for one in known.good & set(held) if known.node in keepers(one, known.roster)}
    for artifact in mine:
        keep.setdefault(artifact, KEEPER)
    idle = {one: _hindrance(one, known) for one in held if one not in keep}
    return Judgement(keep, frozenset(mine & known.planned), idle)


def _hindrance(artifact: bytes, known: Known) -> str:
    """What keeps an artifact here that this node has no use for; "" if nothing does."""
    if known.unknown:
        return known.unknown
    if artifact not in known.planned and artifact not in known.good:
        return ""
    for keeper in keepers(artifact, known.roster):
        if artifact not in known.holders.get(keeper, ()):
            return f"{keeper} does not say that it holds it"
    return ""
