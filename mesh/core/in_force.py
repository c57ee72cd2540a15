"""The part of the authority's state that this node goes by: its site's branch, and who is revoked.

Both are of one state and are taken together or not at all: what does not hold leaves the last good
state in force, with an alarm.

They are a document of their own on the disk. The branches of the state applied last lie there too,
but are written before anyone judges them: a node that refused them and starts anew would otherwise
have nothing to go by, and know of nobody who is revoked.
"""

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from mesh.events import SaveDocument
from mesh.heads.branches import RELEASED, REVOCATIONS, open_site_branch, site_branch_name
from mesh.heads.revocations import Revoked
from mesh.heads.snapshot import branches_of
from mesh.heads.tree import BranchRefused
from mesh.site.changes import Change, Key, changed
from protos.documents_pb2 import Branch, KeptInForce, Plan, SiteBranch, SiteSnapshot

IN_FORCE = "in-force"
"""The document: a KeptInForce."""

HeldBack = Mapping[str, bool]
"""The nodes that are cordoned, and whether they are draining as well."""

Order = tuple[int, int]
"""A state's trust generation and counter."""
NO_STATE = (0, 0)
FIRST = 1
"""The trust generation that is meant where an older release says none: a mesh begins with it."""

Proof = tuple[bytes, Mapping[str, Branch]]
"""What shows whose a state is: its head's envelope, and its branches by name with their proofs."""
NO_PROOF: Proof = (b"", {})


class InForce:
    """The site's branch and the revocations in force.
    `planned` is the authority's plan, that of `branch` is what local changes make of it;
    `counter` is that of the state that both are of, `generation` its trust generation; 0: of none.
    `held_back` are the nodes that an operator at a master cordoned."""

    def __init__(self, site: str) -> None:
        self._site = site
        self.branch = SiteBranch()
        self.planned = Plan()
        self.counter = self.generation = 0
        self.revoked = Revoked()
        self._blob = self._revocations = self._released = self._head = b""
        self._branches: list[Branch] = []
        self.held_back: HeldBack = {}
        self._refused = ""
        self._saved = b""
        self._is_new = False

    @property
    def order(self) -> Order:
        """Of the state in force; NO_STATE where none is."""
        return self.generation, self.counter

    @property
    def refused(self) -> str:
        """Why a newer state is not in force; "" where none is refused."""
        if not self._refused:
            return ""
        stays = "the last good state stays" if self.counter else "and none was before: none is"
        return f"{self._refused}; {stays} in force"

    def start(
        self,
        document: bytes,
        contents: Mapping[str, bytes],
        order: Order,
        proof: Proof = NO_PROOF,
    ) -> None:
        """Goes by what the disk holds: the state of the document, or that of the branches applied
        last, if they are whole (`order` is not NO_STATE) and hold."""
        self._saved = document
        try:
            kept = KeptInForce.FromString(document)
        except DecodeError:
            kept = KeptInForce()  # of another release
        branches = {
            site_branch_name(self._site): kept.branch,
            REVOCATIONS: kept.revocations,
            RELEASED: kept.released,
        }
        shown = kept.state, {branch.name: branch for branch in kept.branches}
        if not self.use(branches, (kept.trust_generation or FIRST, kept.counter), shown):
            self._refused = ""  # there is none
        if order != NO_STATE and order >= self.order:  # else it was taken over from a neighbour
            self.use(contents, order, proof)

    def use(self, contents: Mapping[str, bytes], order: Order, proof: Proof = NO_PROOF) -> bool:
        """Takes the branches of the state that was applied; whether they are in force now, with no
        local change made of them yet."""
        blob = contents.get(site_branch_name(self._site))
        if blob is None:
            return False
        revocations = contents.get(REVOCATIONS, b"")
        try:
            branch = open_site_branch(blob, self._site)
            revoked = Revoked(revocations)
        except BranchRefused as refused:
            self._refused = str(refused)
            return False
        self.branch, self.revoked, self._refused = branch, revoked, ""
        self._blob, self._revocations = blob, revocations
        self._released = contents.get(RELEASED, b"")
        self._head, shown = proof
        self._branches = [shown[name] for name in branches_of(self._site) if name in shown]
        self.generation, self.counter = order
        self.planned, self._is_new = branch.plan, True
        self.held_back = {
            entry.node: entry.draining
            for entry in branch.roster
            if entry.cordoned or entry.draining
        }
        return True

    def take_over(self, contents: Mapping[str, bytes], order: Order, proof: Proof) -> None:
        """Takes the branches of an earlier state than the newest, which were checked."""
        refused = self._refused
        self.use(contents, order, proof)
        self._refused = refused

    def save(self) -> list[SaveDocument]:
        """Keeps the state in force, where the disk holds another. It has to be there before the
        next state comes: that one may be refused."""
        if not self._is_new:
            return []
        self._is_new = False
        kept = KeptInForce(
            counter=self.counter,
            branch=self._blob,
            revocations=self._revocations,
            trust_generation=self.generation,
            state=self._head,
            branches=self._branches,
            released=self._released,
        ).SerializeToString(deterministic=True)
        if kept == self._saved:
            return []
        self._saved = kept
        return [SaveDocument(IN_FORCE, kept, f"state {self.counter} is in force")]

    def snapshot(self) -> SiteSnapshot:
        """The state in force with its proofs, for a box that begins with it; empty where there is
        none, or an older release kept it."""
        blobs = {
            site_branch_name(self._site): self._blob,
            REVOCATIONS: self._revocations,
            RELEASED: self._released,
        }
        held = [blobs[branch.name] for branch in self._branches]
        return SiteSnapshot(state=self._head, branches=self._branches, blobs=held)

    def use_replaced(self, replaced: Mapping[bytes, str]) -> None:
        """Makes `revoked` name the nodes of this site as well whose place another has taken: their
        TLS keys, and why."""
        self.revoked = Revoked(self._revocations, replaced)

    def use_changes(self, changes: Mapping[Key, Change]) -> None:
        """Makes `branch` what these local changes make of the plan."""
        branch = SiteBranch()
        branch.CopyFrom(self.branch)
        branch.plan.CopyFrom(changed(self.planned, changes))
        self.branch = branch
