"""States that an authority signs by mistake: none may come into force at any node.

Each asks for something else than what is in force, so that it shows if any part of it counts.
"""

from collections.abc import Callable, Sequence

from protos.documents_pb2 import Revocations, SiteBranch

NEWER = "newer"
"""For readers of a later release: nodes keep it and pass it on, and do not apply it."""
NO_DOCUMENT = b"\xff" * 40
"""What no release could read."""


def _replicas(branch: SiteBranch) -> None:
    branch.plan.services[0].replicas_min = 10**6


def _soak(branch: SiteBranch) -> None:
    for service in branch.plan.services:
        service.restarts += 1
    branch.plan.services[0].soak_ms = 10**9


def _site(branch: SiteBranch) -> None:
    branch.site = "north"


def _roster(branch: SiteBranch) -> None:
    branch.roster.append(branch.roster[0])


WRONG: dict[str, Callable[[SiteBranch], None]] = {
    "replicas": _replicas,
    "soak": _soak,
    "site": _site,
    "roster": _roster,
}
HOWS: Sequence[str] = (*WRONG, "format", "revocations", NEWER)
"""What may be wrong with a state."""


def bad_state(how: str, good: bytes, revoking: Revocations) -> tuple[bytes, bytes]:
    """The site's branch and the revocations of such a state; `good` is the branch before it,
    `revoking` names a node that nobody meant to revoke."""
    branch = SiteBranch.FromString(good)
    if how in WRONG:
        WRONG[how](branch)
    else:
        del branch.plan.services[:]
    site = NO_DOCUMENT if how == "format" else branch.SerializeToString(deterministic=True)
    revocations = NO_DOCUMENT if how == "revocations" else revoking.SerializeToString()
    return site, revocations
