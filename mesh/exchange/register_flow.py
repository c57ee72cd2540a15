"""How registers travel: checked, taken if newer, told on; and this node's own.

A register is sent by its writer to everybody who is linked with it, and relayed by those who hear
of it to a few more: for links that are cut one by one.
"""

from collections.abc import Callable

from mesh.events import Instruction, Notice, Send
from mesh.exchange.frames import pack
from mesh.exchange.links import Link, Links
from mesh.exchange.membership import Membership
from mesh.hashing import ranked
from mesh.registers.store import Clone, NodeKeys, Outcome, Record, RegisterRefused, Registers
from protos.documents_pb2 import StableRegister

RELAYS = 2
"""Neighbours to whom a register from elsewhere is relayed: for links that are cut one by one."""


class RegisterFlow:
    """The registers' part of the exchange. `membership` is set on nodes, not on masters."""

    def __init__(
        self,
        name: str,
        site: str,
        membership: Membership | None,
        check_certificate: Callable[[bytes], NodeKeys],
        links: Links,
    ) -> None:
        self._name = name
        self._site = site
        self._membership = membership
        self._check_certificate = check_certificate
        self._links = links
        self._sites: dict[str, Registers] = {}
        if membership is not None:
            self._sites[site] = membership.registers

    # ---- what is known ----

    def of_site(self, site: str) -> Registers:
        """The registers of a site; a node knows those of its own alone."""
        if site not in self._sites and self._membership is None:
            self._sites[site] = Registers(site, self._check_certificate)
        return self._sites[site]

    def shared_with(self, link: Link) -> Registers:
        """The registers that this peer and the other end have in common."""
        return self.of_site(link.contact.site if self._membership is None else self._site)

    def sites(self) -> list[str]:
        """The sites of which registers are held."""
        return sorted(self._sites)

    def signing_key_of(self, node: str) -> bytes | None:
        """A node's raw Ed25519 key, as its register says; None if there is none."""
        for registers in self._sites.values():
            record = registers.get(node)
            if record is not None:
                return record.keys.signing_key
        return None

    # ---- others' ----

    def take(self, envelope: bytes, peer: str, link: Link, now_ms: int) -> list[Instruction]:
        """A stable register that a peer sent."""
        registers = self.shared_with(link)
        before = {record.body.node: record for record in registers.records()}
        try:
            outcome, record = registers.accept(envelope, protected=self._name)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"register: {refused}")]
        node = record.body.node
        if isinstance(outcome, Clone):
            return [Notice("clone", node, f"seen through {peer}", outcome)]
        if node == self._name and outcome is Outcome.ACCEPTED:
            return [Notice("boot", node, f"{peer} knows a later boot", record.body.boot)]
        if outcome is not Outcome.ACCEPTED:
            return []
        instructions: list[Instruction] = [Notice("register", node, f"from {peer}", record)]
        if self._membership is not None:
            instructions += self._membership.accepted(record, before.get(node), now_ms)
            if self._membership.accuses_me(record):
                instructions += self.announce(None, again=True)
            instructions += self._relay(record, peer)
        return instructions

    def take_load(self, envelope: bytes, peer: str, link: Link) -> list[Instruction]:
        """A load register that a peer sent."""
        if self._membership is None or link.wan:
            return []
        try:
            self._membership.registers.accept_load(envelope)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"load: {refused}")]
        return []

    def _relay(self, record: Record, peer: str) -> list[Instruction]:
        """To a few neighbours that its writer may not reach, and to the master over the WAN."""
        frames = pack([("registers", record.envelope)])
        others = [n for n in self._links.neighbours() if n not in (peer, record.body.node)]
        chosen = ranked(record.digest.hex(), others)[:RELAYS]
        targets = [*chosen, *(m for m in self._links.masters() if m != peer)]
        return [
            Send(target, data, f"register from {peer}") for data in frames for target in targets
        ]

    # ---- this node's own ----

    def announce(self, content: StableRegister | None, again: bool) -> list[Instruction]:
        """Says `content`, or what was said last, if it is new or to be said `again`."""
        if self._membership is None:
            return []
        record = self._membership.publish(content, again)
        if record is None:
            return []
        frames = pack([("registers", record.envelope)])
        told = self._links.broadcast(frames, "own register")
        return [*told, Notice("register", self._name, "own", record)]
