"""What a node keeps of each node that it watches over, for the verdict about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh.hashing import fingerprint

PROBE_EVERY_MS = 1_000


class Verdict(Enum):
    """What this node holds of another."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(slots=True)
class PendingProbe:
    """A probe that was not answered yet."""

    number: int
    sent_ms: int
    indirect_ms: int | None = None  # since when others are asked; None: only the node itself is
    asked: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Member:
    """Another node of the site."""

    place: bytes  # on the ring
    verdict: Verdict = Verdict.ALIVE
    heard_ms: int = 0
    linked: bool = False
    known_ms: int = 0
    probe: PendingProbe | None = None
    probed_ms: int = -PROBE_EVERY_MS
    suspected_ms: dict[str, int] = field(
        default_factory=dict
    )  # witness -> since when, as known here
    away_until_ms: int | None = None  # it said that it is back by then
    boot: int = 0  # of its newest register
    refuted: bool = False  # a suspicion of this node, and nobody reached it since
    asked_again: bool = False  # it may live, and is asked before that is believed
    asks: int = 0  # how often it was asked so, in vain
    through: str = ""  # who reached it last, of those that were asked

    @property
    def is_well(self) -> bool:
        """Whether nothing is asked and nothing is said against it: nothing is due."""
        return self.probe is None and not self.suspected_ms and not self.asked_again


def place_of(node: str) -> bytes:
    """A node's place on the ring."""
    return fingerprint([node.encode()])


def is_away(member: Member, now_ms: int) -> bool:
    return member.away_until_ms is not None and now_ms < member.away_until_ms


def current_suspects(
    suspicions: Mapping[str, tuple[int, int]], versions: Mapping[str, tuple[int, int]]
) -> set[str]:
    """Of a register's suspicions (node -> boot counter, version), those that nothing refutes."""
    return {node for node, order in suspicions.items() if versions.get(node, (0, 0)) <= order}
