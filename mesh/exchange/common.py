"""What two peers have in common: the trust and state heads, one site's registers, and the
acknowledgements of the newest boots of its nodes. Its fingerprint is what is compared first."""

from collections.abc import Collection

from mesh.exchange import digests
from mesh.exchange.frames import encode, pack
from mesh.exchange.heads_flow import HeadsFlow
from mesh.hashing import fingerprint
from mesh.journals.keys import LogKey
from mesh.journals.logs import Logs
from mesh.registers.store import Registers
from protos.peer_pb2 import Digests, Want


class Common:
    """The common things of this peer and one other, by the site that they share."""

    def __init__(self, heads: HeadsFlow, registers: Registers, logs: Logs) -> None:
        self._heads = heads
        self._registers = registers
        self._logs = logs
        self._generations = (-1, -1)
        self._nodes: set[str] = set()
        self._acknowledged: digests.Acknowledgements = ()
        self._fingerprints: dict[tuple[bytes, bytes], bytes] = {}

    def _look(self) -> None:
        """Finds anew what rests on registers and acknowledgements, where these have changed."""
        generations = (self._registers.generation, self._logs.generation)
        if generations == self._generations:
            return
        self._generations = generations
        self._nodes = {record.body.node for record in self._registers.records()}
        self._acknowledged = digests.compared(self._logs, self._nodes)
        self._fingerprints.clear()

    def fingerprint(self) -> bytes:
        """8 bytes that are equal where all is equal."""
        self._look()
        trust, state = self._heads.digests()
        heads = (trust.digest, state.digest)
        if heads not in self._fingerprints:
            said = [f"{key} {sequence}".encode() for key, sequence, _ in self._acknowledged]
            whole = fingerprint([*heads, *self._registers.digests(), *said])
            self._fingerprints = {heads: whole}
        return self._fingerprints[heads]

    def digests(self) -> Digests:
        """The names and versions of all of it."""
        self._look()
        return digests.describe(*self._heads.digests(), self._registers, self._acknowledged)

    def answer(self, theirs: Digests) -> list[bytes]:
        """Frames that give the other what it lacks and ask for what is lacking here; the heads go
        first, then who is in the site, then the rest."""
        documents = self._lacking_heads(theirs)
        documents += [
            ("registers", envelope)
            for envelope in digests.lacking_registers(theirs.registers, self._registers)
        ]
        self._look()
        lacking, farther = digests.acknowledgements_apart(
            theirs.acknowledged, self._acknowledged, self._nodes
        )
        documents += [("acknowledgements", envelope) for envelope in lacking]
        want = self._want(theirs, farther)
        asked = [encode(want=want)] if want.ByteSize() else []
        return pack(documents) + asked

    def supply(self, want: Want, linked: Collection[str]) -> list[bytes]:
        """Frames with the heads, registers, loads and acknowledgements that the other asks for;
        loads of the nodes that are `linked`, for of others the last word here may be old."""
        documents = self._heads.documents(want.trust, want.state)
        for node in sorted(set(want.registers)):
            record = self._registers.get(node)
            if record is not None:
                documents.append(("registers", record.envelope))
        for node in sorted(set(want.loads).intersection(linked)):
            envelope = self._registers.load_envelope(node)
            if envelope is not None:
                documents.append(("loads", envelope))
        asked = {log.SerializeToString(deterministic=True) for log in want.acknowledgements}
        if asked:
            documents += [
                ("acknowledgements", envelope)
                for key, _, envelope in self._logs.acknowledgements()
                if key.name().SerializeToString(deterministic=True) in asked
            ]
        return pack(documents)

    def _lacking_heads(self, theirs: Digests) -> list[tuple[str, bytes]]:
        trust, state = self._heads.digests()
        return self._heads.documents(
            trust=digests.order_of(trust) > digests.order_of(theirs.trust),
            state=digests.order_of(state) > digests.order_of(theirs.state),
        )

    def _want(self, theirs: Digests, farther: list[LogKey]) -> Want:
        trust, state = self._heads.digests()
        return Want(
            trust=digests.order_of(theirs.trust) > digests.order_of(trust),
            state=digests.order_of(theirs.state) > digests.order_of(state),
            registers=digests.wanted_registers(theirs.registers, self._registers),
            acknowledgements=[key.name() for key in farther],
        )
