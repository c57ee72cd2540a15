"""From a new state head to a whole branch: proofs, blobs, and nothing in between.

A head is *seen* when its signature holds. It is *applied* only when every branch that this peer
needs is here and proved to belong to that very head, so that parts of two generations cannot mix.
What is already held (a branch that did not change) is not fetched again.
"""

from dataclasses import dataclass, field

from mesh.hashing import sha256
from mesh.heads.state import StateHead
from mesh.heads.tree import BranchRefused, check_branch
from protos.documents_pb2 import Branch


@dataclass
class BranchFetch:
    """The branches of one head that are still missing.

    `names` are the branches that this peer needs; `held` are blobs that it has, by digest.
    """

    head: StateHead
    envelope: bytes
    names: tuple[str, ...]
    held: dict[bytes, bytes]
    branches: dict[str, Branch] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)

    def take_branch(self, branch: Branch) -> None:
        """A branch with its proof. Raises BranchRefused if it is not of this head."""
        digest = check_branch(branch, self.head.root, self.head.leaves)
        if branch.name not in self.names:
            raise BranchRefused(f"branch {branch.name!r} was not asked for")
        self.branches[branch.name] = branch
        if digest in self.held:
            self.blobs[digest] = self.held[digest]

    def take_blob(self, data: bytes) -> bool:
        """A blob; whether it is one of the branches that are missing."""
        digest = sha256(data)
        if digest not in self.missing_blobs():
            return False
        self.blobs[digest] = data
        return True

    def missing_branches(self) -> list[str]:
        """Names whose digest is not known yet."""
        return [name for name in self.names if name not in self.branches]

    def missing_blobs(self) -> list[bytes]:
        """Digests whose bytes are not here yet, sorted."""
        digests = {branch.digest for branch in self.branches.values()}
        return sorted(digests - self.blobs.keys())

    @property
    def complete(self) -> bool:
        """Whether everything is here."""
        return not self.missing_branches() and not self.missing_blobs()
