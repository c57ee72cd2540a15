"""When an exclusive pipeline with `onSplit: stop` may run: the rules of its lease. Pure.

The node on which it is placed asks every node of the roster, and may run it for LEASE_MS from when
it asked, as long as a quorum granted it: more than half of the roster, or exactly half with its
tie-breaker among them. A node that granted it grants it to nobody else for LEASE_MS and MARGIN_MS.
No clock is shared: each counts by its own from its own act (Gray and Cheriton, "Leases: an
efficient fault-tolerant mechanism for distributed file cache consistency", 1989).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mesh.hashing import first
from protos.documents_pb2 import PipelinePlan

LEASE_MS = 8_000
"""That a quorum's grants hold, from when they were asked for. Longer than an agent takes to start
anew and a lost frame to be said again; as short as a split may stop a camera without need."""
MARGIN_MS = 2_000
"""That a node waits longer than the owner may act: for clocks that run apart (a quarter; quartz
differs by a ten-thousandth), and for an act that had begun."""
RENEW_MS = LEASE_MS // 3
"""Between two asks of who holds it: two may be lost."""
ASK_AGAIN_MS = 1_000
"""Between two asks of who waits for it."""
FREE_MS = LEASE_MS + MARGIN_MS
"""After which a grant binds nobody: also that a node that has just started neither grants nor asks,
since it does not know what it granted before."""


class Member(NamedTuple):
    """One machine in a roster: its ID may have been given anew, to other keys. `tls_key`: SHA-256
    of its certificate's SubjectPublicKeyInfo; empty where an older release did not say."""

    node: str
    tls_key: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """A roster that somebody may still go by, and the counter of the state that replaced it."""

    nodes: tuple[Member, ...]
    until: int


def needs_lease(pipeline: PipelinePlan) -> bool:
    """Whether the pipeline must never run twice, also where the site is split."""
    return pipeline.exclusive and not pipeline.run_on_split


def tie_breaker(workload: str, roster: Iterable[str]) -> str | None:
    """Of these IDs that whose half counts as more than the other; None where there are none."""
    return first(f"lease {workload}", roster)


def is_quorum(workload: str, nodes: Iterable[Member], roster: Collection[Member]) -> bool:
    """Whether these nodes decide: no two such sets of one roster are without a node in common."""
    present = set(roster).intersection(nodes)
    if 2 * len(present) == len(roster):
        decides = tie_breaker(workload, (one.node for one in roster))
        return decides in {one.node for one in present}
    return 2 * len(present) > len(roster)


def asked_at(
    workload: str, acknowledged: Mapping[Member, int], rosters: Iterable[Collection[Member]]
) -> int | None:
    """The latest time at which, or later than which, what a quorum of each of the rosters granted
    was asked for. `acknowledged`: by node, when that was asked which it granted last."""
    every, nodes = list(rosters), set[Member]()
    for node in sorted(acknowledged, key=lambda node: (-acknowledged[node], node)):
        nodes.add(node)
        if all(is_quorum(workload, nodes, roster) for roster in every):
            return acknowledged[node]
    return None


def is_over(
    earlier: Earlier, roster: Collection[Member], applied: Mapping[Member, int], continued: int
) -> bool:
    """Whether nobody can hold a lease by an earlier roster alone any more: fewer than half of it
    may not know of a later one, or only nodes that the authority took out of it, which a person
    answers for. `applied`: by node, the counter of the state that it goes by, as it says;
    `continued`: with which a master went on above states of another store, which say nothing of
    what replaced a roster in its own."""
    aware_from = max(earlier.until, continued)
    unaware = [node for node in earlier.nodes if applied.get(node, 0) < aware_from]
    return 2 * len(unaware) < len(earlier.nodes) or not set(unaware).intersection(roster)
