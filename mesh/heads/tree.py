"""The state's binary Merkle tree: one root for everything that the authority says.

Leaves are sorted by name (as UTF-8), leaf = H(0x00 || length of the name, 2 bytes || name ||
digest of the blob), node = H(0x01 || left || right), and a level's odd last node goes up as it is:
the shape of RFC 6962. So a site fetches its own branch with a short proof, and parts of two states
cannot be mixed, because no proof leads from one state's leaf to another's root.

What it does not do: prove that a name is absent. Whoever asks for a branch and is not given it has
learnt nothing (unknown is not absent), so nothing may be removed for want of a branch.
"""

import hashlib
from collections.abc import Mapping

from mesh.heads.limits import (
    BRANCH_NAME_MAX_BYTES,
    DIGEST_BYTES,
    LEAVES_MAX,
    PROOF_MAX_BYTES,
)
from protos.documents_pb2 import Branch


class BranchRefused(ValueError):
    """A branch, its proof or its blob is not what it should be. Nothing was changed."""


class Tree:
    """The tree over `branches`: names and the SHA-256 of each one's blob.

    Raises ValueError for a name or digest of a wrong length, or too many branches.
    """

    def __init__(self, branches: Mapping[str, bytes]) -> None:
        if len(branches) > LEAVES_MAX:
            raise ValueError(f"{len(branches)} branches; {LEAVES_MAX} are allowed")
        names = sorted(branches, key=str.encode)
        self._branches = dict(branches)
        self._index = {name: index for index, name in enumerate(names)}
        self._levels = _levels([_leaf(name, branches[name]) for name in names])

    @property
    def root(self) -> bytes:
        """The root's digest: 32 bytes. Of a tree without leaves: the SHA-256 of nothing."""
        return self._levels[-1][0] if self._index else hashlib.sha256().digest()

    @property
    def count(self) -> int:
        """How many branches the tree has."""
        return len(self._index)

    def branch(self, name: str) -> Branch:
        """The branch of that name with its way to the root. Raises KeyError if there is none."""
        index = self._index[name]
        branch = Branch(name=name, digest=self._branches[name], index=index)
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                branch.path.append(level[sibling])
            index //= 2
        return branch


def check_branch(branch: Branch, root: bytes, leaves: int) -> bytes:
    """The digest of the branch's blob, if the branch stands in the tree with `root` and `leaves`.

    Raises BranchRefused if not.
    """
    if branch.ByteSize() > PROOF_MAX_BYTES:
        raise _refused(branch, f"it has {branch.ByteSize()} bytes, {PROOF_MAX_BYTES} are allowed")
    if branch.index >= leaves:
        raise _refused(branch, f"it is number {branch.index} of {leaves}")
    path = list(branch.path)
    if any(len(digest) != DIGEST_BYTES for digest in path):
        raise _refused(branch, "its proof holds something that is no digest")
    try:
        current = _leaf(branch.name, branch.digest)
    except ValueError as error:
        raise _refused(branch, str(error)) from None
    if len(path) != _path_length(branch.index, leaves):
        raise _refused(branch, f"its proof has {len(path)} digests, which no such tree has")
    if _climb(current, branch.index, leaves, path) != root:
        raise _refused(branch, "its proof does not lead to the signed root")
    return branch.digest


def _leaf(name: str, digest: bytes) -> bytes:
    encoded = name.encode()
    if not 1 <= len(encoded) <= BRANCH_NAME_MAX_BYTES:
        raise ValueError(f"a branch's name has 1 to {BRANCH_NAME_MAX_BYTES} bytes")
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a branch's digest has {DIGEST_BYTES} bytes, not {len(digest)}")
    return hashlib.sha256(b"\x00" + len(encoded).to_bytes(2, "big") + encoded + digest).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node(*below[i : i + 2]) for i in range(0, len(below) - 1, 2)]
        levels.append(above + below[len(above) * 2 :])
    return levels


def _path_length(index: int, count: int) -> int:
    length = 0
    while count > 1:
        length += (index ^ 1) < count
        index, count = index // 2, (count + 1) // 2
    return length


def _climb(current: bytes, index: int, count: int, path: list[bytes]) -> bytes:
    siblings = iter(path)
    while count > 1:
        if index % 2:
            current = _node(next(siblings), current)
        elif index + 1 < count:
            current = _node(current, next(siblings))
        index, count = index // 2, (count + 1) // 2
    return current


def _refused(branch: Branch, detail: str) -> BranchRefused:
    name = branch.name[:BRANCH_NAME_MAX_BYTES]
    return BranchRefused(
        f"the branch {name!r} was refused: {detail}. Whoever sent it is at fault, or it belongs "
        "to another state; ask another peer"
    )
