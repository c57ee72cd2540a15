"""A simulated site in which operators change something: what the stories of changes begin with."""

from mesh.core.messages import ChangeMade
from protos.documents_pb2 import Autonomy
from tests.sim.nodes import SimNode
from tests.sim.site import Site

HOUR = 3_600_000
ALLOWED = Autonomy(allow=["pin", "restart", "rollback", "scale"], until_ms=24 * HOUR)


def settled(nodes: int, replicas: int = 1) -> Site:
    site = Site(nodes)
    site.boot()
    site.world.run(2_000)
    site.publish(replicas=replicas, most=4, autonomy=ALLOWED)
    site.world.run_until(lambda: site.serving() == replicas, 15_000, "replicas serve")
    return site


def submit(node: SimNode, envelope: bytes) -> None:
    node.feed(ChangeMade(envelope))


def held(node: SimNode) -> list[str]:
    return [f"{one.body.field}={one.body.value}" for one in node.core.changes.held]


def events(node: SimNode) -> list[tuple[str, str]]:
    own = [log for key, log in node.disk.logs.items() if key.node == node.name]
    entries = [entry for log in own for batch in log for entry in batch.entries]
    return [(e.event, e.cause) for e in entries if e.event.startswith("change.")]
