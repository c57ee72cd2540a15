"""Who takes part in leases, by ID and key: an ID may have been given anew, and the machine that had
it before, cut off, has not heard of that."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mesh.core.in_force import FIRST
from mesh.site.leases import Member

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


def own(core: "NodeCore") -> Member:
    """This node."""
    return Member(core.name, core.membership.keys.tls_key)


def at(core: "NodeCore", peer: str) -> Member:
    """Who is at the other end of a link; without a key where there is no link."""
    link = core.peer.links.get(peer)
    return Member(peer, link.contact.tls_key if link else b"")


def linked(core: "NodeCore") -> set[Member]:
    """The linked nodes of the site."""
    return {at(core, peer) for peer in core.peer.neighbours()}


def able(core: "NodeCore") -> set[Member]:
    """The nodes that could grant a lease to this one now: itself and those linked with it, without
    those of which there are two."""
    return {one for one in {own(core), *linked(core)} if one.node not in core.conflicts.clones}


def applied(core: "NodeCore") -> Mapping[Member, int]:
    """By node, the counter of the state that it goes by, as its register says; those left out whose
    state is of another trust generation than this node's, where counters mean something else."""
    generation = core.in_force.generation
    said = {
        Member(r.body.node, r.keys.tls_key): r.body.in_force_counter
        for r in core.membership.registers.records()
        if (r.body.in_force_generation or FIRST) == generation
    }
    return {**said, own(core): core.in_force.counter}
