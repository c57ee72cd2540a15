"""What a box begins with, and what an operator admits by: who is trusted, and what is in force at a
site, carried as a file. Nothing in it is believed: the root key signs the trust head, a key of that
the state head, and every branch is proved to be of that state. Whose root it is, the operator who
carries it has to know."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.hashing import sha256
from mesh.heads.branches import RELEASED, REVOCATIONS, open_site_branch, site_branch_name
from mesh.heads.limits import KEY_BYTES
from mesh.heads.outcome import Accepted, HeadRefused, Refused
from mesh.heads.revocations import Revoked
from mesh.heads.state import State, StateHead
from mesh.heads.tree import BranchRefused, check_branch
from mesh.heads.trust import Trust, pin
from protos.documents_pb2 import SiteBranch, SiteSnapshot


class SnapshotRefused(ValueError):
    """It is not whole, or not of one mesh. The text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Foundation:
    """What a snapshot says, once everything in it was checked."""

    trust: Trust
    head: StateHead
    branch: SiteBranch
    revoked: Revoked


def branches_of(site: str) -> tuple[str, ...]:
    """The branches that a node of the site needs."""
    return (site_branch_name(site), REVOCATIONS, RELEASED)


def open_snapshot(snapshot: SiteSnapshot, site: str) -> Foundation:
    """What the snapshot says of `site`. Raises SnapshotRefused."""
    if len(snapshot.root_key) != KEY_BYTES:
        raise _refused("it names no trust root")
    try:
        trust = Trust(snapshot.root_key, snapshot.trust)
    except (HeadRefused, ValueError) as refused:
        raise _refused(f"its trust head: {refused}") from None
    head = _head(snapshot.state, trust)
    blobs = _blobs(snapshot, head)
    missing = sorted(set(branches_of(site)) - blobs.keys())
    if missing:
        raise _refused(f"it lacks {', '.join(missing)}")
    try:
        branch = open_site_branch(blobs[site_branch_name(site)], site)
        return Foundation(trust, head, branch, Revoked(blobs[REVOCATIONS]))
    except BranchRefused as refused:
        raise _refused(str(refused)) from None


def check_root(known: Foundation, root_key: bytes) -> None:
    """Whether what is known is of the root that is known (raw Ed25519): a snapshot brings its own,
    so it proves nothing of itself. Raises SnapshotRefused."""
    found = known.trust.root_key
    if found != root_key:
        raise SnapshotRefused(
            f"what was said of the site is of another trust root, with the pin {pin(found)}; the "
            f"one known here has {pin(root_key)}. Whoever said it is of another mesh, or was taken "
            "over: ask another node of the site or a master"
        )


def check_follows(known: Foundation, before: Foundation) -> None:
    """Whether what is known is not older than what was known before. As everywhere, the trust
    generation of a state is compared first, its counter then. Raises SnapshotRefused."""
    found, floor = known.head.order, before.head.order
    if found < floor or known.trust.generation < before.trust.generation:
        raise SnapshotRefused(
            f"what was said of the site is older than what is known here: state {found[1]} under "
            f"trust {known.trust.generation}, not {floor[1]} under {before.trust.generation}. Ask "
            "another node of the site or a master, or leave out --address"
        )


def _head(envelope: bytes, trust: Trust) -> StateHead:
    state = State()
    outcome = state.accept(envelope, trust)
    if isinstance(outcome, Refused):
        raise _refused(f"its state: {outcome.reason}, {outcome.detail}")
    head = state.seen
    if not isinstance(outcome, Accepted) or head is None or not head.readable:
        raise _refused("its state is for a newer release: use the version of meshd of that site")
    return head


def _blobs(snapshot: SiteSnapshot, head: StateHead) -> Mapping[str, bytes]:
    if len(snapshot.branches) != len(snapshot.blobs):
        raise _refused("it has not one blob for each branch")
    found = {}
    for branch, blob in zip(snapshot.branches, snapshot.blobs, strict=True):
        try:
            digest = check_branch(branch, head.root, head.leaves)
        except BranchRefused as refused:
            raise _refused(str(refused)) from None
        if digest != sha256(blob):
            raise _refused(f"its branch {branch.name[:64]!r} is not what the state names")
        found[branch.name] = blob
    return found


def _refused(what: str) -> SnapshotRefused:
    return SnapshotRefused(
        f"what is known of the site cannot be used: {what}. Take it anew from a node of the site "
        "or a master: meshctl admit --address HOST:7400"
    )
