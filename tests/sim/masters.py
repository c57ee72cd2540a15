"""A simulated master: a bare peer, and a state that the test writes."""

from typing import Any

from mesh.exchange.frames import encode
from mesh.exchange.heads_flow import HeadsFlow
from mesh.hashing import sha256
from mesh.heads.state import State
from mesh.heads.tree import Tree
from mesh.heads.trust import Trust
from mesh.journals.logs import Logs
from mesh.peer import Peer, PeerConfig
from mesh.registers.store import NodeKeys
from protos.documents_pb2 import Boot, StateBody
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.disk import Disk
from tests.sim.nodes import keys_in
from tests.sim.world import Host, World, contact_of


def sealed(counter: int, blobs: dict[str, bytes], reader: int = 1) -> tuple[bytes, Documents]:
    """The head of a state with these branches, and the branches, each with its proof."""
    tree = Tree({name: sha256(blob) for name, blob in blobs.items()})
    body = StateBody(
        mesh=identities.MESH,
        trust_generation=1,
        counter=counter,
        root=tree.root,
        leaves=tree.count,
        signed_unix_ms=1,
        min_reader=reader,
    )
    envelope = identities.signer("state").sign("state", body.SerializeToString())
    branches = [tree.branch(name) for name in sorted(blobs)]
    return envelope, Documents(branches=branches, blobs=[blobs[b.name] for b in branches])


class SimMaster(Host):
    """A master: a bare peer, and a state that the test writes."""

    def __init__(self, world: World) -> None:
        super().__init__(world, contact_of(identities.MASTER, ""), Disk())
        self.counter = 0
        self.notices: list[Any] = []
        self.start(self._core())

    def restart(self, disk: Disk) -> None:
        """Starts anew from a disk, and signs again what it signed last."""
        self.crash()
        self.disk = disk
        self.start(self._core())

    def _core(self) -> Peer:
        trust = Trust(identities.signer("root").public_key, identities.trust_envelope())
        heads = HeadsFlow(trust, State(), (), {}, {})
        boot = Boot(counter=1, nonce=b"mmmmmmmm")
        config = PeerConfig(identities.MASTER, "master", "", boot, self.check, archive=True)
        return Peer(config, heads, Logs(self.disk.tails(), archive=True), None, self.clock_ms())

    def check(self, der: bytes) -> NodeKeys:
        """What a certificate says. Raises ValueError if it does not count."""
        return keys_in(der)

    def do_Notice(self, i: Any) -> None:  # noqa: N802
        self.notices.append(i)

    def publish(self, blobs: dict[str, bytes], reader: int = 1) -> None:
        """Signs and announces a state with these branches; empty ones are added where missing."""
        for name in ("revocations", "released"):
            blobs.setdefault(name, b"")
        self.counter += 1
        envelope, documents = sealed(self.counter, blobs, reader)
        for blob in blobs.values():
            self.disk.save_blob(blob)
        if reader > 1:  # this code does not read it either: it only passes on
            for instruction in self.core.heads.take_state(envelope, ""):
                self.carry_out(instruction)
            data = encode(documents=Documents(state=[envelope]))
            for peer in sorted(self.core.links):
                self.world.send(self.name, peer, data)
            return
        for instruction in self.core.install_state(envelope, documents):
            self.carry_out(instruction)
