"""A master on a rough machine: it signs plans, dies, and starts from its disk."""

from collections.abc import Callable, Iterable
from typing import Any

from mesh.events import Send
from mesh.exchange.frames import encode
from mesh.heads.certificates import Certified, UnknownIssuer
from mesh.heads.delegations import shown
from mesh.registers.store import NodeKeys, Record
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.checks.facts import Acknowledged
from tests.sim.masters import SimMaster, sealed
from tests.sim.nodes import keys_in, keys_of
from tests.sim.rough.daemon import Daemon
from tests.sim.rough.roster import Roster
from tests.sim.rough.world import RoughWorld
from tests.sim.world import Host


class RoughMaster(Daemon, SimMaster):
    """The one master. `published` is what it signed last: it is on its disk before it is told;
    `reader` is who may apply that."""

    world: RoughWorld

    def __init__(
        self, world: RoughWorld, nodes: Iterable[Certified], heard: Callable[[Record], None]
    ) -> None:
        """`nodes` are those of the site; `heard` takes each register that is news here."""
        self.make_rough()
        self.on = True
        self.roster = Roster(nodes)
        self._heard = heard
        self.reader = 1
        self.published: tuple[bytes, Documents] | None = None
        SimMaster.__init__(self, world)

    def boot(self) -> None:
        """Starts from its disk, and tells again what it signed last."""
        self.new_clock()
        self.start(self._core())
        self._announce()

    def power_off(self) -> None:
        """The machine dies."""
        self.crash()

    @property
    def works(self) -> bool:
        """Whether it can be told something."""
        return self.up and not self.frozen

    def check(self, der: bytes) -> NodeKeys:
        """As node/agent/welcome.py: what the certificate of a node, or of a box, says."""
        try:
            keys = keys_in(der)
        except UnknownIssuer:
            delegations = [self.roster.delegation()]
            keys = keys_of(shown(der, delegations, identities.MESH, "south").certified)
        if keys.tls_key in self.roster.revoked:
            raise ValueError(f"{keys.node} is revoked")
        return keys

    def refuses(self, other: Host) -> bool:
        """The other end is revoked."""
        return other.contact.tls_key in self.roster.revoked

    def do_Notice(self, i: Any) -> None:  # noqa: N802
        """Registers are heard of, and the rest ends here."""
        if i.what == "register":
            self._heard(i.data)

    def sign(self, branch: bytes, revocations: bytes, reader: int = 1) -> None:
        """Signs a state with this branch for the site; told now, or when it is up again. Who is
        revoked has no link with it from now on."""
        for name, host in sorted(self.world.hosts.items()):
            if self.refuses(host):
                self.world.break_link(self.name, name)
        self.counter += 1
        self.reader = reader
        blobs = {"site/south": branch, "revocations": revocations, "released": b""}
        self.published = sealed(self.counter, blobs, reader)
        for blob in blobs.values():
            self.disk.save_blob(blob)
        self.later(0, self._announce)

    def _announce(self) -> None:
        for node, key in self.roster.signing_keys():
            self.core.writers.remember(node, key)
        if self.published is None:
            return
        envelope, documents = self.published
        if self.reader == 1:
            self.carry(self.core.install_state(envelope, documents))
            return
        self.carry(self.core.heads.take_state(envelope, ""))  # it reads that no better than nodes
        data = encode(documents=Documents(state=[envelope]))
        self.carry([Send(peer, data, "too new") for peer in sorted(self.core.links)])

    def do_Acknowledge(self, i: Any) -> None:  # noqa: N802
        tails = self.disk.tails()
        for key, last in i.tails:
            durable = tails[key].sequence if key in tails else 0
            self.world.watch(Acknowledged(self.world.now_ms, key, last, durable))
        SimMaster.do_Acknowledge(self, i)
