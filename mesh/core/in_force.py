"""The part of the authority's state that this node goes by: its site's branch, and who is revoked.

Both are of one state and are taken together or not at all: what does not hold leaves the last good
state in force, with an alarm.
"""

from collections.abc import Mapping

from mesh.heads.branches import REVOCATIONS, open_site_branch, site_branch_name
from mesh.heads.revocations import Revoked
from mesh.heads.tree import BranchRefused
from protos.documents_pb2 import SiteBranch

HeldBack = Mapping[str, bool]
"""The nodes that are cordoned, and whether they are draining as well."""


class InForce:
    """The site's branch and the revocations in force; `refused` says why a newer one is not.
    `held_back` are the nodes that an operator at a master cordoned."""

    def __init__(self, site: str) -> None:
        self._site = site
        self.branch = SiteBranch()
        self.revoked = Revoked(b"")
        self.held_back: HeldBack = {}
        self.refused = ""

    def use(self, contents: Mapping[str, bytes]) -> bool:
        """Takes the branches of the state that was applied; whether they are in force now."""
        blob = contents.get(site_branch_name(self._site))
        if blob is None:
            return False
        try:
            branch = open_site_branch(blob, self._site)
            revoked = Revoked(contents.get(REVOCATIONS, b""))
        except BranchRefused as refused:
            self.refused = f"{refused}; the last good state stays in force"
            return False
        self.branch, self.revoked, self.refused = branch, revoked, ""
        self.held_back = {
            entry.node: entry.draining
            for entry in branch.roster
            if entry.cordoned or entry.draining
        }
        return True
