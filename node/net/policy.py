"""Which role may call which method: one table for every port. What is not in it is refused.

A node's certificate calls what peers call of each other, and nothing that steers; an operator's
steers, and is no peer. Nobody becomes a master by dialling one: the name is checked by who dials.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.heads.identity import Role
from node.net.identity import PeerCheck

PEERS: frozenset[Role] = frozenset({"node", "master"})
OPERATORS: frozenset[Role] = frozenset({"operator"})
ALL_ROLES: frozenset[Role] = PEERS | OPERATORS

LINK = "/mesh.v1.Peer/Link"
CHUNKS = "/mesh.v1.Peer/Chunks"
HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

_ADMIN_METHODS = (
    "Get",
    "Watch",
    "Apply",
    "Delete",
    "CreateToken",
    "PushManifest",
    "PushChunks",
    "Release",
    "Revoke",
    "Restart",
    "Cordon",
    "Rollout",
    "Pin",
    "DraftChange",
    "Change",
    "Delegate",
    "EndDelegation",
    "GetSnapshot",
)

PEER_METHODS: Mapping[str, frozenset[Role]] = {
    LINK: PEERS,
    CHUNKS: PEERS,
    **{f"/mesh.v1.Admin/{name}": OPERATORS for name in _ADMIN_METHODS},
    HEALTH + "Check": ALL_ROLES,
    HEALTH + "Watch": ALL_ROLES,
    REFLECTION: OPERATORS,
}
"""Of the peer and admin port (7400)."""

ENROLMENT_METHODS: Mapping[str, frozenset[Role]] = {
    "/mesh.v1.Enrolment/GetTrust": frozenset(),
    "/mesh.v1.Enrolment/Enrol": frozenset(),
    HEALTH + "Check": frozenset(),
}
"""Of the enrolment port (7401), where callers have no role yet."""

WITHOUT_DEADLINE = frozenset({LINK, "/mesh.v1.Admin/Watch", HEALTH + "Watch", REFLECTION})
"""These last for as long as both ends want. Every other call says how long it will wait."""


@dataclass(frozen=True)
class Policy:
    """Who may call a server. `check` is None where callers have no certificate: enrolment."""

    check: PeerCheck | None
    methods: Mapping[str, frozenset[Role]] = field(default_factory=lambda: PEER_METHODS)
    without_deadline: frozenset[str] = WITHOUT_DEADLINE

    @classmethod
    def enrolment(cls) -> "Policy":
        """The policy of the enrolment port."""
        return cls(check=None, methods=ENROLMENT_METHODS)
