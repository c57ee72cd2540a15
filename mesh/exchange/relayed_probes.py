"""Probing a node for somebody else, who does not reach it."""

from dataclasses import dataclass

from mesh.exchange.frames import encode
from protos.peer_pb2 import Probe, ProbeAnswer

ANSWER_WITHIN_MS = 500
"""Below the asker's own patience for indirect probes, so that a `no` still counts."""
PENDING_MAX = 256
FIRST_NUMBER = 1 << 40
"""Numbers of relayed probes start here, away from those of a node's own probes."""


@dataclass(frozen=True, slots=True)
class _Pending:
    asker: str
    asked_number: int
    target: str
    until_ms: int


class RelayedProbes:
    """Probes that this node sent for others, and what it owes them as an answer."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._next = FIRST_NUMBER

    def asked(
        self, asker: str, probe: Probe, target_linked: bool, now_ms: int
    ) -> list[tuple[str, bytes]]:
        """Frames that follow from the request to probe `probe.target` for `asker`."""
        if not target_linked or len(self._pending) >= PENDING_MAX:
            return [(asker, _answer(probe.number, probe.target, False))]
        number, self._next = self._next, self._next + 1
        until_ms = now_ms + ANSWER_WITHIN_MS
        self._pending[number] = _Pending(asker, probe.number, probe.target, until_ms)
        return [(probe.target, encode(probe=Probe(number=number)))]

    def answered(self, peer: str, number: int) -> list[tuple[str, bytes]]:
        """The frame to the asker, if this is the target's answer to a probe sent for another."""
        pending = self._pending.get(number)
        if pending is None or pending.target != peer:
            return []
        del self._pending[number]
        return [(pending.asker, _answer(pending.asked_number, pending.target, True))]

    def tick(self, now_ms: int) -> list[tuple[str, bytes]]:
        """Frames that tell askers of targets that did not answer in time."""
        if not self._pending:
            return []
        late = [number for number, p in self._pending.items() if now_ms >= p.until_ms]
        answers = []
        for number in late:
            pending = self._pending.pop(number)
            answers.append((pending.asker, _answer(pending.asked_number, pending.target, False)))
        return answers


def _answer(number: int, target: str, alive: bool) -> bytes:
    return encode(probe_answer=ProbeAnswer(number=number, target=target, alive=alive))
