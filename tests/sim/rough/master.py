"""A master on a rough machine: it signs plans, dies, and starts from its disk."""

from collections.abc import Iterable
from typing import Any

from mesh.events import Send
from mesh.exchange.frames import encode
from protos.documents_pb2 import Revocation, Revocations
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.checks.facts import Acknowledged
from tests.sim.masters import SimMaster, sealed
from tests.sim.rough.daemon import Daemon
from tests.sim.rough.world import RoughWorld
from tests.sim.world import Host


class RoughMaster(Daemon, SimMaster):
    """The one master. `published` is what it signed last: it is on its disk before it is told;
    `reader` is who may apply that."""

    world: RoughWorld

    def __init__(self, world: RoughWorld) -> None:
        self.make_rough()
        self.on = True
        self.revoked: frozenset[str] = frozenset()
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

    def refuses(self, other: Host) -> bool:
        """The other end is revoked."""
        return other.name in self.revoked

    def shut_out(self, revoked: frozenset[str]) -> None:
        """Who is revoked has no link with it from now on."""
        self.revoked = revoked
        for name in sorted(revoked):
            self.world.break_link(self.name, name)

    def sign(self, branch: bytes, revocations: bytes, reader: int = 1) -> None:
        """Signs a state with this branch for the site; told now, or when it is up again."""
        self.counter += 1
        self.reader = reader
        blobs = {"site/south": branch, "revocations": revocations, "released": b""}
        self.published = sealed(self.counter, blobs, reader)
        for blob in blobs.values():
            self.disk.save_blob(blob)
        self.later(0, self._announce)

    def _announce(self) -> None:
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


def revocations_of(revoked: Iterable[str]) -> Revocations:
    """What a state says of nodes that are revoked."""
    entries = [
        Revocation(
            subject=identities.node_identity("south", name).uri,
            tls_key=identities.node_keys("south", name).tls_key,
            reason="stolen",
        )
        for name in sorted(revoked)
    ]
    return Revocations(entries=entries)
