"""What a box begins with: proved from the root key on, or refused whole."""

from collections.abc import Callable

import pytest

from mesh.hashing import sha256
from mesh.heads.snapshot import (
    SnapshotRefused,
    branches_of,
    check_follows,
    check_root,
    open_snapshot,
)
from mesh.heads.tree import Tree
from protos.documents_pb2 import (
    Released,
    Revocation,
    Revocations,
    SiteBranch,
    SiteSnapshot,
    StateBody,
)
from tests.mesh.heads.conftest import Authority, signer

SUBJECT = "spiffe://acme/site/north/node/c"
BLOBS = {
    "site/north": SiteBranch(site="north").SerializeToString(),
    "revocations": Revocations(
        entries=[Revocation(subject=SUBJECT, tls_key=b"k" * 32)]
    ).SerializeToString(),
    "released": Released().SerializeToString(),
}


def snapshot(
    acme: Authority,
    blobs: dict[str, bytes] = BLOBS,
    reader: int = 1,
    order: tuple[int, int] = (1, 4),
    trusted: int = 1,
) -> SiteSnapshot:
    tree = Tree({name: sha256(blob) for name, blob in blobs.items()})
    body = StateBody(
        mesh="acme",
        trust_generation=order[0],
        counter=order[1],
        root=tree.root,
        leaves=tree.count,
        signed_unix_ms=1,
        min_reader=reader,
    )
    return SiteSnapshot(
        root_key=acme.root.public_key,
        trust=acme.sign_trust(acme.trust_body(generation=trusted)),
        state=acme.sign_state(body),
        branches=[tree.branch(name) for name in sorted(blobs)],
        blobs=[blobs[name] for name in sorted(blobs)],
    )


def test_a_whole_snapshot_says_who_is_trusted_and_what_is_in_force(acme: Authority) -> None:
    known = open_snapshot(snapshot(acme), "north")
    assert (known.trust.mesh, known.head.counter, known.branch.site) == ("acme", 4, "north")
    assert known.revoked.is_revoked(b"k" * 32) is not None
    assert set(branches_of("north")) == set(BLOBS)


def _no_root(one: SiteSnapshot) -> None:
    one.root_key = b"short"


def _another_root(one: SiteSnapshot) -> None:
    one.root_key = signer(99).public_key


def _forged_state(one: SiteSnapshot) -> None:
    one.state = one.state[:-1]


def _a_blob_less(one: SiteSnapshot) -> None:
    del one.blobs[0]


def _a_branch_less(one: SiteSnapshot) -> None:
    del one.blobs[0], one.branches[0]


def _another_blob(one: SiteSnapshot) -> None:
    one.blobs[0] = b"another"


def _another_proof(one: SiteSnapshot) -> None:
    one.branches[0].path[0] = b"p" * 32


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (_no_root, "no trust root"),
        (_another_root, "trust head"),
        (_forged_state, "its state"),
        (_a_blob_less, "one blob for each"),
        (_a_branch_less, "lacks released"),
        (_another_blob, "not what the state names"),
        (_another_proof, "does not lead to the signed root"),
    ],
)
def test_what_is_altered_anywhere_is_refused(
    acme: Authority, alter: Callable[[SiteSnapshot], None], says: str
) -> None:
    one = snapshot(acme)
    alter(one)
    with pytest.raises(SnapshotRefused, match=says):
        open_snapshot(one, "north")


def test_a_state_for_newer_readers_or_of_another_site_is_no_foundation(acme: Authority) -> None:
    with pytest.raises(SnapshotRefused, match="newer release"):
        open_snapshot(snapshot(acme, reader=2), "north")
    with pytest.raises(SnapshotRefused, match="site/south"):
        open_snapshot(snapshot(acme), "south")
    wrong = {**BLOBS, "site/north": SiteBranch(site="west").SerializeToString()}
    with pytest.raises(SnapshotRefused, match="is 'west'"):
        open_snapshot(snapshot(acme, wrong), "north")


def test_what_is_known_is_of_the_root_that_the_operator_knows(acme: Authority) -> None:
    known = open_snapshot(snapshot(acme), "north")
    check_root(known, acme.root.public_key)
    with pytest.raises(SnapshotRefused, match="another trust root"):
        check_root(known, signer(99).public_key)


@pytest.mark.parametrize(
    ("order", "trusted", "follows"),
    [
        ((2, 4), 2, True),
        ((2, 5), 2, True),
        ((3, 1), 3, True),  # the counter starts anew
        ((2, 4), 3, True),
        ((2, 3), 2, False),
        ((1, 9), 2, False),
        ((1, 9), 1, False),
    ],
)
def test_what_is_known_does_not_go_back(
    acme: Authority, order: tuple[int, int], trusted: int, follows: bool
) -> None:
    before = open_snapshot(snapshot(acme, order=(2, 4), trusted=2), "north")
    now = open_snapshot(snapshot(acme, order=order, trusted=trusted), "north")
    if follows:
        check_follows(now, before)
        return
    with pytest.raises(SnapshotRefused, match="older than"):
        check_follows(now, before)


def test_who_is_trusted_does_not_go_back(acme: Authority) -> None:
    before = open_snapshot(snapshot(acme, trusted=3), "north")
    now = open_snapshot(snapshot(acme, order=(2, 9), trusted=2), "north")
    with pytest.raises(SnapshotRefused, match="older than"):
        check_follows(now, before)
