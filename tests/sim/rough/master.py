"""A master on a rough machine: it signs plans, dies, and starts from its disk."""

from typing import Any

from protos.documents_pb2 import Revocation, Revocations
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.checks.facts import Acknowledged
from tests.sim.masters import SimMaster, sealed
from tests.sim.rough.daemon import Daemon
from tests.sim.rough.world import RoughWorld
from tests.sim.world import Host


class RoughMaster(Daemon, SimMaster):
    """The one master. `published` is what it signed last: it is on its disk before it is told."""

    world: RoughWorld

    def __init__(self, world: RoughWorld) -> None:
        self.make_rough()
        self.on = True
        self.revoked: frozenset[str] = frozenset()
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

    def sign(self, branch: bytes, revoked: frozenset[str] = frozenset()) -> None:
        """Signs a state with this branch for the site; told now, or when it is up again. Who is
        revoked has no link with it from now on."""
        self.counter += 1
        self.revoked = revoked
        for name in sorted(revoked):
            self.world.break_link(self.name, name)
        entries = [
            Revocation(
                subject=identities.node_identity("south", name).uri,
                tls_key=identities.node_keys("south", name).tls_key,
                reason="stolen",
            )
            for name in sorted(revoked)
        ]
        revocations = Revocations(entries=entries).SerializeToString()
        blobs = {"site/south": branch, "revocations": revocations, "released": b""}
        self.published = sealed(self.counter, blobs)
        for blob in blobs.values():
            self.disk.save_blob(blob)
        self.later(0, self._announce)

    def _announce(self) -> None:
        if self.published is not None:
            self.carry(self.core.install_state(*self.published))

    def do_Acknowledge(self, i: Any) -> None:  # noqa: N802
        tails = self.disk.tails()
        for key, last in i.tails:
            durable = tails[key].sequence if key in tails else 0
            self.world.watch(Acknowledged(self.world.now_ms, key, last, durable))
        SimMaster.do_Acknowledge(self, i)
