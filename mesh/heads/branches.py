"""The blobs that the state's tree reaches, parsed and checked.

Each opening takes the bytes whose digest stood in a branch of a signed state (`tree.check_branch`)
and returns a message in which everything is within its limits, or raises BranchRefused and changes
nothing. A branch is good whole or not at all.
"""

from mesh.heads import checks
from mesh.heads.delegations import check_delegation
from mesh.heads.identity import Identity, IdentityRefused
from mesh.heads.limits import (
    DELEGATIONS_MAX,
    FORMER_MAX,
    NUMBER_MAX,
    REASON_MAX,
    RELEASED_MAX,
    REVOCATIONS_MAX,
    ROSTER_MAX,
)
from mesh.heads.plan_rules import check_plan
from mesh.heads.tree import BranchRefused
from protos.documents_pb2 import (
    FormerEntry,
    Released,
    Revocation,
    Revocations,
    RosterEntry,
    SiteBranch,
)

__all__ = [
    "RELEASED",
    "REVOCATIONS",
    "BranchRefused",
    "open_released",
    "open_revocations",
    "open_site_branch",
    "site_branch_name",
]

REVOCATIONS = "revocations"
"""The name of the branch with the revocations."""

RELEASED = "released"
"""The name of the branch with the released artifacts."""


def site_branch_name(site: str) -> str:
    """The name of a site's branch."""
    return f"site/{site}"


def open_site_branch(data: bytes, site: str) -> SiteBranch:
    """The roster, before it and now, labels, delegations and plan of `site`. Raises
    BranchRefused."""
    branch = checks.parse(SiteBranch, data, "the site's branch")
    if branch.site != site:
        raise checks.refused("site", f"is {branch.site[:64]!r} in the branch of {site!r}")
    checks.between("roster.size", len(branch.roster), 0, ROSTER_MAX)
    for entry in branch.roster:
        _check_roster_entry(entry)
    checks.rising("roster", [(entry.node,) for entry in branch.roster])
    checks.unique("roster's signing keys", (entry.signing_key for entry in branch.roster))
    checks.unique("roster's TLS keys", (entry.tls_key for entry in branch.roster))
    checks.between("former.size", len(branch.former), 0, FORMER_MAX)
    for former in branch.former:
        _check_former_entry(former)
    checks.between("rosters_from", branch.rosters_from, 0, NUMBER_MAX)
    checks.between("continued", branch.continued, 0, NUMBER_MAX)
    checks.labels("labels", branch.labels)
    checks.between("delegations.size", len(branch.delegations), 0, DELEGATIONS_MAX)
    for delegation in branch.delegations:
        check_delegation(delegation)
    checks.rising("delegations", [(one.id,) for one in branch.delegations])
    if branch.HasField("plan"):
        check_plan(branch.plan, site)
    return branch


def open_revocations(data: bytes) -> Revocations:
    """All revocations, sorted by subject and key. Raises BranchRefused."""
    branch = checks.parse(Revocations, data, REVOCATIONS)
    checks.between("revocations.size", len(branch.entries), 0, REVOCATIONS_MAX)
    for entry in branch.entries:
        _check_revocation(entry)
    checks.rising(REVOCATIONS, [(entry.subject, entry.tls_key) for entry in branch.entries])
    return branch


def open_released(data: bytes) -> Released:
    """All released artifacts, sorted by name and version. Raises BranchRefused."""
    branch = checks.parse(Released, data, RELEASED)
    checks.between("released.size", len(branch.artifacts), 0, RELEASED_MAX)
    for artifact in branch.artifacts:
        checks.name("released.name", artifact.name)
        place = f"released.{artifact.name}"
        checks.version(f"{place}.version", artifact.version)
        checks.digest(f"{place}.digest", artifact.digest)
    checks.rising(RELEASED, [(one.name, one.version) for one in branch.artifacts])
    return branch


def _check_roster_entry(entry: RosterEntry) -> None:
    checks.name("roster.node", entry.node)
    checks.digest(f"roster.{entry.node}.signing_key", entry.signing_key)
    checks.digest(f"roster.{entry.node}.tls_key", entry.tls_key)
    checks.between(f"roster.{entry.node}.since", entry.since, 0, NUMBER_MAX)


def _check_former_entry(entry: FormerEntry) -> None:
    checks.name("former.node", entry.node)
    checks.digest(f"former.{entry.node}.tls_key", entry.tls_key)
    checks.between(f"former.{entry.node}.until", entry.until, 1, NUMBER_MAX)
    checks.between(f"former.{entry.node}.since", entry.since, 0, entry.until - 1)


def _check_revocation(entry: Revocation) -> None:
    try:
        Identity.from_uri(entry.subject)
    except IdentityRefused as error:
        raise checks.refused("revocations.subject", f"is wrong: {error}") from None
    checks.digest(f"the revoked key of {entry.subject}", entry.tls_key)
    checks.text(f"the reason for {entry.subject}", entry.reason, REASON_MAX)
    checks.between(f"the time for {entry.subject}", entry.unix_ms, 0, NUMBER_MAX)
