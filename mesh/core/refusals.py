"""Refused inputs: told at once when they begin, then counted, so that a peer that sends nothing but
rubbish costs one entry every ten seconds and not one for each piece of it."""

from dataclasses import dataclass

from mesh.events import Instruction, WriteJournal

EVERY_MS = 10_000
PEERS_MAX = 512
"""Peers counted at once: twice as many as a site may have. Others are counted together."""


@dataclass(slots=True)
class _Count:
    since_ms: int
    number: int = 0
    reason: str = ""


class Refusals:
    """Counts of what peers sent that was refused."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def refused(self, peer: str, reason: str, now_ms: int) -> list[Instruction]:
        """One more. The first of a peer is told at once."""
        known = peer in self._counts or len(self._counts) < PEERS_MAX
        subject = peer if known else "others"
        count = self._counts.get(subject)
        if count is not None:
            count.number += 1
            count.reason = reason
            return []
        self._counts[subject] = _Count(now_ms)
        return [_entry(subject, reason, 1)]

    def tick(self, now_ms: int) -> list[Instruction]:
        """Tells what was counted, where it is time."""
        entries: list[Instruction] = []
        due = [p for p, count in self._counts.items() if now_ms - count.since_ms >= EVERY_MS]
        for peer in sorted(due):
            count = self._counts[peer]
            if count.number == 0:
                del self._counts[peer]
                continue
            entries.append(_entry(peer, count.reason, count.number))
            self._counts[peer] = _Count(now_ms)
        return entries


def _entry(peer: str, reason: str, count: int) -> Instruction:
    return WriteJournal("data", "input.refused", peer, reason, {"count": str(count)})
