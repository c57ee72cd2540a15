"""What a node finds on its disk when it starts: heads, branches, manifests, documents.

What is damaged is left out and said: the node then starts with less, and the rest comes from its
peers again. Its identity, its boot and the floor of the heads do not come from peers; each of them
has a second copy.
"""

from collections.abc import Mapping

import structlog

from mesh.core.at_start import artifacts_at_start
from mesh.core.in_force import IN_FORCE, NO_STATE, InForce
from mesh.exchange.heads_flow import HeadsFlow
from mesh.heads.outcome import HeadRefused
from mesh.heads.state import State, StateHead
from mesh.heads.tree import BranchRefused, check_branch
from mesh.heads.trust import Trust
from node.agent.stores import Stores
from node.disk.documents import DocumentDamaged
from protos.documents_pb2 import Branch, SiteBranch
from protos.peer_pb2 import Documents

BRANCHES = ("revocations", "released")

log = structlog.get_logger(__name__)


class FromDisk:
    """Reads the stores of the node of a site. `damaged` says in words what was not whole."""

    def __init__(self, stores: Stores, site: str) -> None:
        self._stores = stores
        self._site = site
        self.damaged: list[str] = []

    def document(self, name: str) -> bytes | None:
        """A document, the copy before it where it is damaged, or None."""
        try:
            found = self._stores.documents.find(name)
        except DocumentDamaged as damaged:
            self._say(name, str(damaged))
            return None
        if found is None:
            return None
        if found.recovered:
            self._say(name, f"the document {name!r} is damaged: the copy before it is used")
        return found.data

    def heads(self, trust: Trust) -> HeadsFlow:
        """The heads, and the branches of the state applied last.

        A state of which a branch is damaged or gone is seen and not applied: so it is fetched
        again, whole.
        """
        names = [f"site/{self._site}", *BRANCHES]
        branches, blobs = self._branches()
        state = self._state(self.document("state-seen"), self.document("state-applied"))
        head = state.applied
        if head is not None and not all(_whole(branches.get(n), blobs, head) for n in names):
            seen = state.seen or head
            state = State(seen.envelope)
        flow = HeadsFlow(trust, state, names, branches, blobs)
        if head is not None and flow.state.applied is None:
            self._say("branches", "the plan in force is damaged: it is fetched again from a peer")
        return flow

    def _branches(self) -> tuple[dict[str, Branch], dict[bytes, bytes]]:
        kept = Documents.FromString(self.document("branches") or b"")
        blobs = {}
        for branch in kept.branches:
            data = self._stores.blobs.get(branch.digest)
            if data is not None:
                blobs[branch.digest] = data
        return {branch.name: branch for branch in kept.branches}, blobs

    def manifests(self, heads: HeadsFlow) -> list[bytes]:
        """The manifests that lie on this disk, of all that may have to run: of the plan in force,
        of what ran last, and of the last good versions."""
        ran, rollouts = self.document("ran") or b"", self.document("rollouts") or b""
        named = artifacts_at_start(self.branch(heads).plan, ran, rollouts)
        found = (self._stores.blobs.get(artifact) for artifact in named)
        return [envelope for envelope in found if envelope is not None]

    def branch(self, heads: HeadsFlow) -> SiteBranch:
        """The site's branch in force; an empty one where none is here or holds."""
        applied, in_force = heads.state.applied, InForce(self._site)
        kept = self.document(IN_FORCE) or b""
        in_force.start(kept, heads.contents(), applied.order if applied else NO_STATE)
        return in_force.branch

    def _state(self, seen: bytes | None, applied: bytes | None) -> State:
        try:
            return State(seen, applied)
        except HeadRefused as refused:
            self._say("state", f"the state on this disk cannot be read ({refused})")
            return State()

    def _say(self, name: str, damage: str) -> None:
        if damage in self.damaged:
            return  # it was read before
        self.damaged.append(damage)
        log.error("a document is damaged", document=name, error=damage)


def _whole(branch: Branch | None, blobs: Mapping[bytes, bytes], head: StateHead) -> bool:
    """Whether the branch is here, and proved to be of this state."""
    if branch is None or branch.digest not in blobs:
        return False
    try:
        check_branch(branch, head.root, head.leaves)
    except BranchRefused:
        return False
    return True
