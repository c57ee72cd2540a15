"""Keys that count no longer, whoever took them out: an operator at a master, or a box in the node's
place."""

from dataclasses import dataclass, replace

from mesh.heads.identity import Identity
from node.master.content import Content, put_revocation
from node.master.records import NodeRecord, RevocationRecord
from node.master.store import Write


@dataclass(frozen=True, slots=True)
class Revoked:
    """The counter of the state in which a node is revoked, and why it was already; "": it was
    not."""

    counter: int
    already: str = ""


def without_keys(
    content: Content, mesh: str, gone: NodeRecord, unix_ms: int, counter: int
) -> tuple[Content, Write]:
    """`content` with the keys of a revoked node taken out, and what keeps that. `counter` is of the
    state that will say so."""
    revocation = RevocationRecord(
        Identity(mesh, "node", gone.node, gone.site).uri,
        gone.tls_key,
        gone.signing_key,
        gone.revoked,
        unix_ms,
        gone.since,
        counter,
    )
    revocations = {**content.revocations, gone.tls_key: revocation}
    return replace(content, revocations=revocations), put_revocation(revocation)
