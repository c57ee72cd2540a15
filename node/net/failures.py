"""Why a peer could not be reached: gRPC has one word for all of it, people need six."""

from typing import Literal

DialKind = Literal[
    "unreachable",  # nobody answers there, or not in time: the network, or the peer is down
    "wrong_identity",  # somebody else of this mesh answers
    "other_mesh",  # its certificate is not of this mesh, or is none of ours
    "peer_revoked",  # the right one answers, and we know that its key was revoked
    "own_certificate",  # it does not take our certificate: not enrolled there, or replaced
    "refused",  # it knows us and does not serve us: revoked, or the wrong role
    "busy",  # it has too many calls or links of ours
]


class DialFailed(Exception):
    """A peer was not reached; nothing was sent to it. The text says where, why and the way out."""

    def __init__(self, kind: DialKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def unreachable(address: str, why: str) -> DialFailed:
    """The failure that says nothing about the peer."""
    return DialFailed("unreachable", f"{address}: {why}; it is tried again")
