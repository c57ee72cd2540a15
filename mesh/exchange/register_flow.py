"""How registers travel: checked, taken if newer, told on; and this node's own.

A register is sent by its writer to everybody who is linked with it, and relayed by those who hear
of it to a few more: for links that are cut one by one.
"""

from collections.abc import Callable

from mesh.events import Instruction, Notice, Send
from mesh.exchange.frames import pack
from mesh.exchange.links import Link, Links
from mesh.exchange.membership import Membership
from mesh.registers.store import Clone, NodeKeys, Outcome, Record, RegisterRefused, Registers
from protos.documents_pb2 import Boot, StableRegister


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
        try:
            outcome, record = registers.accept(envelope, protected=self._name)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"register: {refused}")]
        node = record.body.node
        if isinstance(outcome, Clone):
            return [Notice("clone", node, f"seen through {peer}", outcome)]
        if node == self._name and outcome is Outcome.ACCEPTED and self._membership is not None:
            return self._own_from_others(record, peer, self._membership.boot)
        if outcome is not Outcome.ACCEPTED:
            return []
        instructions: list[Instruction] = [Notice("register", node, f"from {peer}", record)]
        if self._membership is not None:
            instructions += self._membership.accepted(record, now_ms)
            if self._membership.is_to_answer(now_ms):
                instructions += self.announce(None, again=True)
            instructions += self._relay(record, peer)
        return instructions

    def take_load(self, envelope: bytes, peer: str, link: Link, now_ms: int) -> list[Instruction]:
        """A load register that a peer sent."""
        if self._membership is None or link.wan:
            return []
        try:
            self._membership.registers.accept_load(envelope, now_ms)
        except RegisterRefused as refused:
            return [Notice("refused", peer, f"load: {refused}")]
        return []

    def _own_from_others(self, record: Record, peer: str, mine: Boot) -> list[Instruction]:
        """A register of this very node that is newer than its own: its disk is an old copy, or, if
        it is of this very boot, somebody goes on with a copy of its memory. What it said in an
        earlier start is newer only than nothing: this start has said nothing yet."""
        boot = record.body.boot
        if boot.counter < mine.counter:
            return []
        if boot.counter == mine.counter:
            clone = Clone(self._name, mine, boot)
            return [Notice("clone", self._name, f"seen through {peer}", clone)]
        return [Notice("boot", self._name, f"{peer} knows a later boot", boot)]

    def _relay(self, record: Record, peer: str) -> list[Instruction]:
        """To neighbours that its writer may not reach, and to the master over the WAN."""
        frames = pack([("registers", record.envelope)])
        cause = f"register from {peer}"
        upward = [m for m in self._links.masters() if m != peer]
        return [
            *self._links.spread(frames, cause, peer, without=(record.body.node,)),
            *(Send(master, data, cause) for data in frames for master in upward),
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
