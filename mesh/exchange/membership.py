"""The members of a site as one node sees them: their registers, and who of them lives.

This node's own register is made here: what the cores above want to say, plus whom this node
suspects, under the next version. A suspicion about this node itself, from anywhere, is answered
with a higher version, at once if it is the first for a while.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.events import Instruction, Notice, Send
from mesh.exchange.frames import encode
from mesh.exchange.relayed_probes import RelayedProbes
from mesh.registers.liveness import (
    ASK_AGAIN_MS,
    Action,
    Liveness,
    SendProbe,
)
from mesh.registers.store import NodeKeys, Record, RegisterRefused, Registers
from mesh.registers.watched import Verdict, current_suspects
from mesh.signed import Signer
from protos.documents_pb2 import Boot, LoadRegister, StableRegister, Suspicion
from protos.peer_pb2 import Probe, ProbeAnswer

AWAY_MS = 30_000
"""How long neighbours wait for an agent that said that it restarts: an upgrade of a package takes
half of it. Whoever asks for more gets no more: a liar's work is missed for so long at most."""
SUSPICIONS_MAX = 32
"""In a register, 90 bytes each: 3 of its 16 KiB. Where more die at once, each node still derives it
by its own watch, a little later."""
ANSWER_EVERY_MS = 500
"""Between two answers to suspicions: the first is answered at once, and none waits for as long as
nodes wait before they conclude anything from one."""
ACCUSE_EVERY_MS = 1_000
"""Between two suspicions of a node that answers, and is not reached all the same."""


@dataclass(frozen=True, slots=True)
class Self:
    """This node: who it is, with which boot, and how it signs."""

    keys: NodeKeys
    boot: Boot
    signer: Signer


class Membership:
    """Registers and liveness of the site that this node is in. `too_large` says what is the matter
    where the own register has outgrown its limit: what was said before stays."""

    def __init__(self, me: Self, registers: Registers, now_ms: int) -> None:
        self._me = me
        self.registers = registers
        self.liveness = Liveness(me.keys.node, now_ms)
        self._relayed = RelayedProbes()
        self._content: StableRegister | None = None
        self._linked: set[str] = set()
        self.too_large = ""
        self._version = 0
        self._suspected: list[Suspicion] = []
        self._accused: dict[str, tuple[Suspicion, int]] = {}
        self._renew_ms: int | None = None  # when the next of them is against a newer version
        self._now_ms = now_ms
        self._answered_ms = now_ms - ANSWER_EVERY_MS
        self._accused_in = -1  # the version of this node that is suspected and not answered for
        self._said_at = (-1, -1)
        self._watch(now_ms)

    @property
    def keys(self) -> NodeKeys:
        """Who this node is, as its certificate says."""
        return self._me.keys

    @property
    def boot(self) -> Boot:
        """This start of this node."""
        return self._me.boot

    # ---- this node's own register ----

    def publish(self, content: StableRegister | None = None, again: bool = False) -> Record | None:
        """Says `content` (or what was said last) with the suspicions of now.

        Returns the new record, or None if nothing changed and it need not be said `again`, or
        nothing was ever said.
        """
        said = content if content is not None else self._content
        if said is None or (content is None and not again and self._is_said()):
            return None
        record = self._publish(said, again)
        self._said_at = self._generations()
        return record

    def _is_said(self) -> bool:
        """Whether the suspicions are the same as they were said last."""
        renewed = self._renew_ms is not None and self._now_ms >= self._renew_ms
        return self._said_at == self._generations() and not renewed

    def _generations(self) -> tuple[int, int]:
        """What suspicions rest on, but for time."""
        return (self.liveness.generation, self.registers.generation)

    def _publish(self, content: StableRegister, again: bool) -> Record | None:
        suspicions = self._suspicions()
        held = self.registers.get(self._me.keys.node)
        known = content is self._content and held is not None and suspicions == self._suspected
        if known and not again:
            return None
        self._suspected, self._content = suspicions, content
        body = StableRegister()
        body.CopyFrom(content)
        body.node, body.site = self._me.keys.node, self._me.keys.site
        body.boot.CopyFrom(self._me.boot)
        body.ClearField("suspicions")
        body.suspicions.extend(suspicions)
        body.version = self._version
        if held is not None and held.body == body and not again:
            return None
        self._version += 1
        body.version = self._version
        try:
            record = self.registers.publish(body, self._me.signer, self._me.keys)
        except RegisterRefused as refused:  # to say less would be wrong, and to end far worse
            self.too_large = str(refused)
            return None
        self.too_large = ""
        return record

    def publish_load(self, body: LoadRegister) -> bytes:
        """Signs this node's load. Returns the envelope to send."""
        return self.registers.publish_load(body, self._me.signer)

    def _suspicions(self) -> list[Suspicion]:
        """Whom this node suspects: those first about whom nothing is decided here yet."""
        suspicions, self._renew_ms = [], None
        suspected = sorted(self.liveness.suspected(), key=self._is_dead)
        for node in suspected[:SUSPICIONS_MAX]:
            record = self.registers.get(node)
            if record is not None:
                suspicions.append(self._suspicion(record))
        self._accused = {one.node: self._accused[one.node] for one in suspicions}
        return suspicions

    def _suspicion(self, record: Record) -> Suspicion:
        """Against the version of now, and against a newer one only now and then, of who is dead
        here even more seldom: two parts of a split site that hear of each other's suspicions over
        a master would else answer each other for ever, each answer a version."""
        body = record.body
        said, said_ms = self._accused.get(body.node, (None, 0))
        is_dead = self._is_dead(body.node)
        every_ms = ASK_AGAIN_MS if is_dead else ACCUSE_EVERY_MS
        if said is None or said.boot != body.boot or self._now_ms >= said_ms + every_ms:
            said = Suspicion(node=body.node, boot=body.boot, version=body.version)
            self._accused[body.node] = (said, self._now_ms)
        elif said.version < body.version and not is_dead:
            due_ms = said_ms + every_ms
            self._renew_ms = due_ms if self._renew_ms is None else min(due_ms, self._renew_ms)
        return said

    def _is_dead(self, node: str) -> bool:
        return self.liveness.verdict(node) is Verdict.DEAD

    # ---- others' registers ----

    def accepted(self, record: Record, now_ms: int) -> list[Instruction]:
        """A newer register of another node was accepted: it refutes what was suspected of it."""
        node = record.body.node
        if not self.liveness.knows(node):
            self._watch(now_ms)
        actions = self.liveness.refuted(node, record.body.boot.counter)
        away_ms = min(record.body.away_ms, AWAY_MS)
        self.liveness.goes_away(node, now_ms + away_ms if away_ms else None)
        for witness in sorted((self.registers.accusing | {node}) - {self._me.keys.node}):
            held = self.registers.get(witness)
            suspects = set() if held is None else self._suspects(held.body)
            self.liveness.testimony(witness, suspects, now_ms)
        if self._accuses_me(record):
            self._accused_in = self._version
        return self.carry(actions)

    def _suspects(self, body: StableRegister) -> set[str]:
        """Whom a register suspects, in their current versions."""
        suspicions = {s.node: (s.boot.counter, s.version) for s in body.suspicions}
        held = (self.registers.get(node) for node in suspicions)
        return current_suspects(suspicions, {r.body.node: r.order for r in held if r is not None})

    def away(self, now_ms: int) -> dict[str, str]:
        """The nodes whose agents said that they will be back, and where their runtimes, which
        serve on, take requests."""
        records = map(self.registers.get, self.liveness.away(now_ms))
        return {r.body.node: r.body.inference_address for r in records if r is not None}

    def forget(self, nodes: Iterable[str], now_ms: int) -> None:
        """Drops nodes that the authority revoked: what they said, and the watch over them."""
        self.registers.forget(nodes)
        self._watch(now_ms)

    def is_to_answer(self, now_ms: int) -> bool:
        """Whether this node is to say now that it lives, since somebody suspects it as it is. Not
        each time that somebody does: in a split both of whose parts reach a master everybody there
        suspects everybody here, and each answer, which is doubted, would have an answer of each."""
        if self._accused_in < self._version or now_ms - self._answered_ms < ANSWER_EVERY_MS:
            return False
        self._answered_ms = now_ms
        return True

    def _accuses_me(self, record: Record) -> bool:
        """Whether the register, of a node that is not dead here itself, suspects this node in its
        current version."""
        if self._is_dead(record.body.node):
            return False
        current = (self._me.boot.counter, self._version)
        return any(
            s.node == self._me.keys.node and (s.boot.counter, s.version) >= current
            for s in record.body.suspicions
        )

    def _watch(self, now_ms: int) -> None:
        self.liveness.members([r.body.node for r in self.registers.records()], now_ms)

    # ---- links and probes ----

    def link(self, peer: str, up: bool, now_ms: int) -> list[Instruction]:
        """A link with a neighbour was made or is gone."""
        (self._linked.add if up else self._linked.discard)(peer)
        return self.carry(self.liveness.link(peer, up, now_ms))

    def heard(self, peer: str, now_ms: int) -> list[Instruction]:
        """A frame arrived from the neighbour itself."""
        return self.carry(self.liveness.heard(peer, now_ms))

    def unreachable(self, peer: str, now_ms: int) -> list[Instruction]:
        """Dialling the neighbour failed."""
        return self.carry(self.liveness.unreachable(peer, now_ms))

    def probe(self, peer: str, probe: Probe, now_ms: int) -> list[Instruction]:
        """A neighbour asks whether this node lives, or whether it reaches another."""
        if not probe.target:
            answer = ProbeAnswer(number=probe.number, alive=True)
            return [Send(peer, encode(probe_answer=answer), "probe")]
        linked = probe.target in self._linked
        return _sends(self._relayed.asked(peer, probe, linked, now_ms), "probe for another")

    def probe_answer(self, peer: str, answer: ProbeAnswer, now_ms: int) -> list[Instruction]:
        """A neighbour answers a probe, this node's own or one sent for another."""
        relayed = _sends(self._relayed.answered(peer, answer.number), "probe for another")
        actions = self.liveness.answered(peer, answer.number, answer.target, answer.alive, now_ms)
        return relayed + self.carry(actions)

    def tick(self, now_ms: int) -> list[Instruction]:
        """Time passed."""
        self._now_ms = now_ms
        late = _sends(self._relayed.tick(now_ms), "no answer for another")
        return late + self.carry(self.liveness.tick(now_ms))

    def carry(self, actions: list[Action]) -> list[Instruction]:
        """Liveness' wishes as instructions."""
        if not actions:
            return []
        instructions: list[Instruction] = []
        for action in actions:
            if isinstance(action, SendProbe):
                frame = encode(probe=Probe(number=action.number, target=action.target))
                instructions.append(Send(action.peer, frame, "probe"))
            else:
                verdict = action.verdict.value
                instructions.append(Notice("verdict", action.node, action.why, verdict))
        return instructions


def _sends(frames: list[tuple[str, bytes]], cause: str) -> list[Instruction]:
    return [Send(peer, data, cause) for peer, data in frames]
