"""What a box of this site begins with, as a node gives it to an operator."""

from mesh.core.node import NodeCore
from node.admin.backend import NotFound
from protos.documents_pb2 import SiteSnapshot


def site_snapshot(core: NodeCore, site: str, masters: list[str]) -> SiteSnapshot:
    """The state in force at `site`, and whom to dial; `masters` as ID@HOST:PORT. Raises
    NotFound."""
    trust, own = core.peer.heads.trust, core.peer.config.site
    if site != own:
        raise NotFound(f"this node is of the site {own!r}; ask a node of {site!r}, or a master")
    told = core.in_force.snapshot()
    if not told.state:
        raise NotFound("this node knows no state of its site yet: ask another one")
    bodies = [record.body for record in core.membership.registers.records()]
    return SiteSnapshot(
        root_key=trust.root_key,
        trust=trust.envelope,
        state=told.state,
        branches=told.branches,
        blobs=told.blobs,
        masters=masters,
        neighbours=[f"{one.node}@{one.peer_address}" for one in bodies if one.peer_address],
        admitted=core.admissions.certificates,
    )
