"""What one node grants of leases: to one owner at a time, and to nobody else until it is free.

The rules stand in mesh/site/leases.py. Nothing of this is on a disk: a node that starts anew grants
nothing until all that it may have granted before is over.
"""

from dataclasses import dataclass

from mesh.site.leases import FREE_MS

JUST_STARTED = "it started a moment ago, and does not know what it granted before"


@dataclass(frozen=True, slots=True)
class Owner:
    """One start of one node: a node that starts anew, or a copy of its disk, is another owner."""

    node: str
    counter: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """A grant: the ask that it answered last, and when; None: it was given back."""

    owner: Owner
    number: int
    at_ms: int | None


class Grants:
    """What this node granted, by workload."""

    def __init__(self, now_ms: int) -> None:
        self.from_ms = now_ms + FREE_MS
        self._given: dict[str, Given] = {}

    def holder(self, workload: str, now_ms: int) -> Given | None:
        """The grant that binds this node now."""
        given = self._given.get(workload)
        if given is None or given.at_ms is None or now_ms - given.at_ms >= FREE_MS:
            return None
        return given

    def ask(self, workload: str, owner: Owner, number: int, now_ms: int) -> str | None:
        """Grants it (""), or says why not; None: the ask was answered before, or is out of date."""
        last = self._given.get(workload)
        if last is not None and last.owner == owner and number <= last.number:
            return None
        if now_ms < self.from_ms:
            return JUST_STARTED
        held = self.holder(workload, now_ms)
        if held is not None and held.owner != owner:
            if held.owner.node == owner.node:
                return f"an earlier start of {owner.node} may still run it"
            return f"{held.owner.node} has it"
        self._given[workload] = Given(owner, number, now_ms)
        return ""

    def is_taken(self, workload: str, owner: Owner, now_ms: int) -> bool:
        """Whether another node than the owner's has it."""
        held = self.holder(workload, now_ms)
        return held is not None and held.owner.node != owner.node

    def release(self, workload: str, owner: Owner, number: int) -> None:
        """The owner says that it has stopped: others may have it at once."""
        given = self._given.get(workload)
        if given is not None and given.owner == owner and number > given.number:
            self._given[workload] = Given(owner, number, None)

    def forget(self, planned: frozenset[str], now_ms: int) -> None:
        """Drops what binds nobody of workloads that are not planned any more."""
        for workload in self._given.keys() - planned:
            if self.holder(workload, now_ms) is None:
                del self._given[workload]
