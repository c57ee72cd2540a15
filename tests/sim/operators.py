"""What an operator at a simulated site signs."""

from typing import TYPE_CHECKING

from mesh.site.changes import KIND, base_of
from protos.documents_pb2 import LocalChange
from tests.sim import identities

if TYPE_CHECKING:
    from tests.sim.nodes import SimNode

HOUR_MS = 3_600_000


def local_change(node: "SimNode", by: str = "ann", **fields: object) -> bytes:
    """A change that an operator makes of what that node goes by: `scale` of `faces` to 3 for an
    hour, unless the fields say something else."""
    core = node.core
    now = core.unix_ms()
    workload = str(fields.get("workload", "faces"))
    planned = [s for s in core.in_force.planned.services if s.name == workload]
    values = {
        "mesh": identities.MESH,
        "site": "south",
        "base_counter": core.in_force.counter,
        "base": base_of(planned[0], str(fields.get("field", "scale"))) if planned else b"",
        "workload": workload,
        "field": "scale",
        "value": "3",
        "counter": 1,
        "made_unix_ms": now,
        "until_unix_ms": now + HOUR_MS,
        "reason": "a queue at the door",
        "operator": "ann",
        **fields,
    }
    body = LocalChange(**values)  # type: ignore[arg-type]
    return identities.signer(by).sign(KIND, body.SerializeToString(deterministic=True))
