"""The tree: every branch proves itself under its root, and under no other."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.heads.limits import PROOF_MAX_BYTES
from mesh.heads.tree import BranchRefused, Tree, check_branch
from protos.documents_pb2 import Branch


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def tree_of(count: int, generation: int = 1) -> Tree:
    return Tree({f"site/s{i:05}": digest(f"{generation} {i}") for i in range(count)})


def reference_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written: split at the largest power of two below the length."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = reference_root(leaves[:split]), reference_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("count", [*range(1, 35), 100, 127, 128, 129])
def test_the_root_is_that_of_rfc_6962_and_every_branch_proves_itself(count: int) -> None:
    tree = tree_of(count)
    names = [f"site/s{i:05}" for i in range(count)]
    leaves = [
        hashlib.sha256(b"\x00\x00\x0b" + name.encode() + tree.branch(name).digest).digest()
        for name in names
    ]
    assert tree.root == reference_root(leaves)
    assert tree.count == count
    for i, name in enumerate(names):
        assert check_branch(tree.branch(name), tree.root, count) == digest(f"1 {i}")


def test_an_empty_tree_has_a_root_and_no_branches() -> None:
    tree = Tree({})
    assert (tree.count, tree.root) == (0, hashlib.sha256().digest())
    with pytest.raises(KeyError):
        tree.branch("site/north")
    with pytest.raises(BranchRefused, match="number 0 of 0"):
        check_branch(Branch(name="site/north", digest=bytes(32)), tree.root, 0)


def test_the_order_in_which_branches_are_given_does_not_matter() -> None:
    branches = {name: digest(name) for name in ["b", "a", "released", "é", "z"]}
    backwards = dict(reversed(branches.items()))
    assert Tree(branches).root == Tree(backwards).root


def test_proofs_among_ten_thousand_branches_stay_under_a_kilobyte() -> None:
    tree = Tree({f"site/{i:063}": digest(str(i)) for i in range(10_000)})
    sizes = [tree.branch(f"site/{i:063}").ByteSize() for i in (0, 1, 4999, 8191, 9998, 9999)]
    assert max(sizes) <= 600
    assert max(sizes) <= PROOF_MAX_BYTES


def other_leaf(branch: Branch) -> None:
    branch.CopyFrom(tree_of(7).branch("site/s00003"))
    branch.name = "site/s00002"


def swapped(branch: Branch) -> None:
    first, second, *rest = branch.path
    branch.path[:] = [second, first, *rest]


ATTACKS = [
    pytest.param(lambda b: setattr(b, "digest", digest("evil")), "signed root", id="other content"),
    pytest.param(lambda b: setattr(b, "name", "site/evil"), "signed root", id="another name"),
    pytest.param(other_leaf, "signed root", id="the proof of another leaf"),
    pytest.param(lambda b: setattr(b, "index", 3), "signed root", id="another place"),
    pytest.param(lambda b: setattr(b, "index", 6), "digests", id="a place with a shorter proof"),
    pytest.param(lambda b: setattr(b, "index", 7), "number 7 of 7", id="a place behind the last"),
    pytest.param(lambda b: setattr(b, "index", 2**64 - 1), "number", id="a place far behind"),
    pytest.param(lambda b: b.path.pop(), "digests", id="a shorter proof"),
    pytest.param(lambda b: b.path.append(bytes(32)), "digests", id="a longer proof"),
    pytest.param(swapped, "signed root", id="a proof in another order"),
    pytest.param(lambda b: b.path.__setitem__(0, bytes(31)), "no digest", id="a short sibling"),
    pytest.param(lambda b: setattr(b, "digest", b""), "32 bytes", id="no digest"),
    pytest.param(lambda b: setattr(b, "name", ""), "name has", id="no name"),
    pytest.param(lambda b: setattr(b, "name", "é" * 65), "name has", id="a long name"),
    pytest.param(lambda b: b.path.extend([bytes(32)] * 99), "are allowed", id="a huge proof"),
    pytest.param(lambda b: setattr(b, "name", "x" * 99_999), "are allowed", id="a huge name"),
]


@pytest.mark.parametrize(("attack", "says"), ATTACKS)
def test_an_altered_branch_is_refused(attack: Callable[[Branch], object], says: str) -> None:
    tree = tree_of(7)
    branch = tree.branch("site/s00002")
    attack(branch)
    with pytest.raises(BranchRefused, match=says) as refused:
        check_branch(branch, tree.root, tree.count)
    assert len(str(refused.value)) < 500


def test_branches_of_two_states_cannot_be_mixed() -> None:
    old, new = tree_of(7, generation=1), tree_of(7, generation=2)
    with pytest.raises(BranchRefused, match="signed root"):
        check_branch(old.branch("site/s00002"), new.root, new.count)


def test_an_inner_node_cannot_pose_as_a_leaf() -> None:
    tree = tree_of(2)
    left, right = (tree.branch(f"site/s0000{i}") for i in (0, 1))
    forged = Branch(name="x" * 30, digest=right.path[0])
    with pytest.raises(BranchRefused, match="signed root"):
        check_branch(forged, tree.root, 1)
    assert left.path[0] != right.path[0]


@pytest.mark.parametrize(
    "branches",
    [
        pytest.param({"": bytes(32)}, id="an empty name"),
        pytest.param({"x" * 129: bytes(32)}, id="a long name"),
        pytest.param({"a": bytes(31)}, id="a short digest"),
    ],
)
def test_a_tree_of_bad_branches_cannot_be_made(branches: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="branch's"):
        Tree(branches)


def test_a_tree_has_a_bounded_number_of_branches() -> None:
    class Endless(dict[str, bytes]):
        def __len__(self) -> int:
            return 2**21

    with pytest.raises(ValueError, match="are allowed"):
        Tree(Endless())


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.binary(min_size=32, max_size=32)))
def test_any_branches_prove_themselves(branches: dict[str, bytes]) -> None:
    tree = Tree(branches)
    for name, value in branches.items():
        assert check_branch(tree.branch(name), tree.root, tree.count) == value
