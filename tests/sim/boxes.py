"""Boxes that an operator at the simulated site admits: nodes with a certificate of a delegated
authority."""

import functools
from collections.abc import Sequence
from typing import Any

from mesh.hashing import sha256
from mesh.heads.certificates import Certified, issue, make_authority, read_certificate
from mesh.heads.delegations import delegation_id
from mesh.signed import Signer
from protos.documents_pb2 import Delegation
from protos.peer_pb2 import Documents
from tests.sim import identities
from tests.sim.disk import Disk
from tests.sim.nodes import SimNode
from tests.sim.world import World

FIRST = identities.SERIAL + 1
"""The lowest number that tells a box here from whom the mesh's authority enrolled."""


@functools.cache
def authority(name: str) -> bytes:
    """The certificate (DER) of the authority of the operator of that name."""
    return make_authority(identities.tls_key(name), identities.MESH, serial=len(name) + 1000)


def delegation(operator: str = "bob", **changes: Any) -> Delegation:
    """A delegation of boxes up to number 9, for ever."""
    der = authority(operator)
    fields: dict[str, Any] = {"count": 9, "until_unix_ms": 1 << 60, "operator": operator}
    return Delegation(id=delegation_id(der), authority=der, **fields | changes)


def admit(
    node: str,
    number: int = FIRST,
    replaces: bytes = b"",
    keys: str = "",
    operator: str = "bob",
    site: str = "south",
) -> tuple[Certified, Signer]:
    """The certificate of a box, and what it signs with; `keys` tells boxes of one ID apart."""
    name = f"box {node} {keys}"
    der = issue(
        identities.tls_key(operator),
        authority(operator),
        identities.node_identity(site, node),
        identities.tls_key(name).public_key(),
        identities.signer(name).public_key,
        number,
        replaces,
    )
    return read_certificate(der), identities.signer(name)


def begin_like(disk: Disk, like: SimNode) -> None:
    """Puts on the disk of a box what is in force at the node `like`, as `meshd node join` does."""
    told = like.core.in_force.snapshot()
    documents = {
        "state-seen": told.state,
        "state-applied": told.state,
        "branches": Documents(branches=told.branches).SerializeToString(),
    }
    if "trust" in like.disk.documents:
        documents["trust"] = like.disk.documents["trust"]
    disk.documents |= documents
    disk.blobs = {sha256(blob): blob for blob in told.blobs}


class SimBox(SimNode):
    """A node that was admitted: `admitted` is what `admit` gave."""

    def __init__(
        self,
        world: World,
        admitted: tuple[Certified, Signer],
        like: SimNode,
        sources: Sequence[str] = (),
    ) -> None:
        """It begins with what is in force at the node `like`."""
        self._admitted = admitted
        identity = admitted[0].identity
        super().__init__(world, identity.site, identity.name, sources)
        begin_like(self.disk, like)

    def identity(self) -> tuple[Certified, Signer]:
        """Who it is, by its certificate, and what it signs with."""
        return self._admitted
