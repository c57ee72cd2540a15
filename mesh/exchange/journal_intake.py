"""Taking others' journals, and acknowledging them.

A batch is taken from anyone who carries it: its writer's signature says whose it is. It is stored
before it is passed on, and a master acknowledges it only once it is on the master's disk.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

from mesh.events import Acknowledge, Instruction, Notice, SaveBatch, Send
from mesh.exchange.frames import pack
from mesh.exchange.journal_flow import JournalFlow, want_frame
from mesh.journals.batches import BatchRefused, open_batch
from mesh.journals.keys import LogKey
from mesh.journals.limits import ENVELOPE_BYTES_MAX
from mesh.journals.logs import Logs
from mesh.journals.outcomes import Accepted, Acknowledged, Fork, Full, Gap, NoRoom
from protos.peer_pb2 import JournalBatches

GAP_AGAIN_MS = 5_000
"""Between two questions for the same missing entries: a peer that has trimmed them, or whose disk
cannot give them, would otherwise answer with the same gap at the speed of the link."""

ASKED_MAX = 1024
"""Logs remembered that have a gap, that were put off, or with who sent them: 0.3 KiB each. The
oldest is forgotten: what is missing is offered again every few seconds."""

TAKEN_MAX = 1024
"""Acknowledgements remembered as they came, 0.4 KiB each, so that their relays cost no check."""


class JournalIntake:
    """The receiving side of journals.

    `signing_keys_of` gives the raw Ed25519 keys of those that have, or had, an ID; `archive` is set
    on a master.
    """

    def __init__(
        self,
        logs: Logs,
        signing_keys_of: Callable[[str], Sequence[bytes]],
        archive: bool,
    ) -> None:
        self.logs = logs
        self.flow = JournalFlow(logs)
        self._signing_keys_of = signing_keys_of
        self._archive = archive
        self._due: dict[LogKey, int] = dict(logs.unacknowledged()) if archive else {}
        self._taken: set[bytes] = set()  # acknowledgements
        self._gaps: dict[LogKey, tuple[int, int]] = {}  # log -> expected, asked when
        self._put_off: dict[LogKey, tuple[str, int]] = {}  # no room, or lost: sender, held here
        self._senders: dict[LogKey, str] = {}  # who sent what was accepted last

    def batches(self, message: JournalBatches, peer: str, now_ms: int) -> list[Instruction]:
        """Batches that a peer sends, each looked at by itself: one bad does not stop the rest."""
        instructions: list[Instruction] = []
        for envelope in message.batches:
            try:
                batch = open_batch(envelope, self._signing_keys_of)
            except BatchRefused as refused:
                instructions.append(Notice("refused", peer, f"journal: {refused}"))
                continue
            verdict = self.logs.accept(batch)
            if isinstance(verdict, Accepted):
                self._gaps.pop(batch.key, None)
                self._put_off.pop(batch.key, None)
                _bounded(self._senders, batch.key)
                self._senders[batch.key] = peer
                instructions.append(SaveBatch(batch, f"journal from {peer}"))
            elif isinstance(verdict, Gap):
                instructions += self._ask_again(batch.key, verdict.expected, peer, now_ms)
            elif isinstance(verdict, Fork):
                instructions.append(Notice("fork", batch.key.node, f"from {peer}", verdict))
            elif isinstance(verdict, Full):
                detail = f"journal: {batch.key.node} has {verdict.limit} logs that nobody took"
                instructions.append(Notice("refused", peer, detail))
            elif isinstance(verdict, NoRoom):
                _bounded(self._put_off, batch.key)
                self._put_off[batch.key] = (peer, verdict.held)
                detail = f"journal: no room for more copies of {batch.key.node}'s records"
                instructions.append(Notice("refused", peer, detail))
        return instructions

    def lost(self, key: LogKey) -> None:
        """What was accepted of a log is not on disk here and will not be. Whoever sent it takes it
        for delivered, so it is asked for again, as what there was no room for."""
        self.logs.abandoned(key)
        sender, held = self._senders.get(key), self.logs.held(key)
        if sender is not None:
            _bounded(self._put_off, key)
            self._put_off[key] = (sender, held.sequence if held is not None else 0)

    def resume(self, linked: Container[str]) -> list[Instruction]:
        """Asks for what was put off, once there is room. Who is not linked any more is not asked:
        a new link begins with an offer."""
        instructions: list[Instruction] = []
        for key, (peer, held) in list(self._put_off.items()):
            if peer not in linked:
                del self._put_off[key]
            elif self.logs.copies.fits(key, ENVELOPE_BYTES_MAX):
                del self._put_off[key]
                instructions.append(Send(peer, want_frame({key: held}), "room again"))
        return instructions

    def _ask_again(self, key: LogKey, expected: int, peer: str, now_ms: int) -> list[Instruction]:
        asked, when_ms = self._gaps.get(key, (0, 0))
        if asked == expected and now_ms - when_ms < GAP_AGAIN_MS:
            return []
        _bounded(self._gaps, key)
        self._gaps[key] = (expected, now_ms)
        return [Send(peer, want_frame({key: expected - 1}), "gap")]

    def saved(self, batch_key: LogKey, last: int) -> None:
        """A batch is on disk here; a master owes an acknowledgement for it."""
        if self._archive:
            self._due[batch_key] = max(last, self._due.get(batch_key, 0))

    def acknowledge_due(self) -> list[Instruction]:
        """What a master is to acknowledge now."""
        due, self._due = self._due, {}
        return [Acknowledge(tuple(sorted(due.items())), "on disk here")] if due else []

    def take_acknowledgement(
        self, envelope: bytes, keys: list[bytes], now_ms: int
    ) -> Acknowledged | None:
        """An acknowledgement from anywhere; None unless it says more than was known."""
        if envelope in self._taken:  # the usual case of a relay: checked before, and it stays said
            return None
        outcome = self.logs.acknowledge(envelope, keys, now_ms)
        if not isinstance(outcome, Acknowledged):
            return None
        if len(self._taken) >= TAKEN_MAX:
            self._taken.clear()
        self._taken.add(envelope)
        return outcome


def acknowledgement_frames(envelopes: list[bytes]) -> list[bytes]:
    """Frames that carry acknowledgements."""
    return pack([("acknowledgements", envelope) for envelope in envelopes])


def _bounded(remembered: dict[LogKey, Any], key: LogKey) -> None:
    """Makes room for `key`."""
    if key not in remembered and len(remembered) >= ASKED_MAX:
        del remembered[next(iter(remembered))]
