"""A node's site as the node sees it: a document for people."""

from mesh.core.node import NodeCore
from node.agent.site_documents import Document, behind


def own_site(core: NodeCore, nodes: list[Document], since_ms: int, alarms: int) -> Document:
    """The site of a node. `nodes` are the documents of its nodes, `since_ms` says since when the
    WAN is as it is, `alarms` how many there are."""
    live = set(core.membership.liveness.live())
    bodies = [record.body for record in core.membership.registers.records()]
    seen = core.peer.heads.state.floor[1]  # by its signature; a register may claim any
    gateway = core.peer.gateway() or ""
    return {
        "site": core.peer.config.site,
        "nodes": len(core.branch.roster),
        "live": len(live),
        "wan": "up" if gateway else "down",
        "since": since_ms,
        "gateway": gateway,
        "applied": min((b.applied_counter for b in bodies if b.node in live), default=0),
        "seen": seen,
        "out_of_sync": behind(nodes, seen),
        "alarms": alarms,
        "labels": dict(core.branch.labels),
    }
