"""Helpers for tests of what nodes of a simulated site keep on their disks."""

from mesh.hashing import sha256
from mesh.site.collection import keepers
from protos.documents_pb2 import JournalBatch
from protos.signed_pb2 import Envelope
from tests.mesh.core.rolling import SOAK_MS
from tests.sim.nodes import SimNode
from tests.sim.site import Site, face_detector

GRACE_MS = 20_000
"""Instead of an hour, which takes the simulator minutes."""


def digest(version: str = "1.0.0") -> bytes:
    return sha256(face_detector(version)[0])


def holders(site: Site, version: str) -> set[str]:
    """Whose disks have all of a version."""
    return {node.name for node in site.nodes if node.disk.whole(digest(version))}


def lying(site: Site, version: str) -> set[str]:
    """Whose disks have anything of it."""
    return {node.name for node in site.nodes if digest(version) in node.disk.lying()}


def keeping(site: Site, version: str = "1.0.0") -> set[str]:
    return set(keepers(digest(version), frozenset(node.name for node in site.nodes)))


def others(site: Site) -> list[SimNode]:
    """The nodes that neither keep, run, nor stand by for the service."""
    placement = site.nodes[0].core.placement
    busy = {*placement.nodes_of("faces"), *placement.spares["faces"], *keeping(site)}
    return [node for node in site.nodes if node.name not in busy]


def rolled_out(site: Site, *versions: str) -> None:
    for version in versions:
        site.publish(2, version=version, soak_ms=SOAK_MS)

        def done(version: str = version) -> bool:
            return sorted(v for found in site.versions().values() for v in found) == [version] * 2

        site.world.run_until(done, 30_000, f"{version} serves")
        site.world.run(SOAK_MS + 3_000)


def records(node: SimNode, event: str) -> list[dict[str, str]]:
    """The fields of a node's own records of that name, with subject and cause."""
    found = []
    for key, batches in node.disk.logs.items():
        for batch in batches if key.node == node.name else ():
            body = JournalBatch.FromString(Envelope.FromString(batch.envelope).payload)
            for entry in body.entries:
                if entry.event == event:
                    found.append({**entry.fields, "subject": entry.subject, "cause": entry.cause})
    return found
