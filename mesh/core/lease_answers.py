"""What a node answers to those who ask for a lease.

mesh/core/grants.py says whether it is free; this module, whether it may be asked for at all, by
whom, and for what.
"""

from typing import TYPE_CHECKING

from mesh.core import lease_members
from mesh.core.grants import Owner
from mesh.core.in_force import FIRST
from mesh.core.messages import NodeOutput
from mesh.core.rosters import written
from mesh.events import Send
from mesh.exchange.frames import encode
from mesh.site.leases import needs_lease
from protos.documents_pb2 import Boot
from protos.peer_pb2 import LeaseAsk, LeaseGrant

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


def planned(core: "NodeCore") -> set[str]:
    """The pipelines of the plan that need a lease."""
    return {one.name for one in core.branch.plan.pipelines if needs_lease(one)}


def is_start(core: "NodeCore", node: str, boot: Boot) -> bool:
    """Whether this is the start of the node that its register speaks of."""
    record = core.membership.registers.get(node)
    return record is not None and record.body.boot == boot


def answer(core: "NodeCore", ask: LeaseAsk, peer: str, now_ms: int) -> list[NodeOutput]:
    """What a linked node hears that asks, or gives back."""
    leases, boot = core.leases, core.peer.config.boot
    owner = Owner(peer, ask.boot.counter, ask.boot.nonce)
    if ask.release:
        leases.grants.release(ask.workload, owner, ask.number)
        return []
    why = _why_not(core, ask, peer)
    if not why:
        granted = leases.grants.ask(ask.workload, owner, ask.number, now_ms)
        if granted is None:
            return []
        why = granted
    grant = LeaseGrant(
        workload=ask.workload,
        boot=ask.boot,
        number=ask.number,
        granted=not why,
        reason=why,
        granter=boot,
        earlier=[] if why else written(leases.rosters.earlier),  # may be too many for a frame
        taken=bool(why) and leases.grants.is_taken(ask.workload, owner, now_ms),
    )
    return [Send(peer, encode(lease_grant=grant), f"lease {ask.workload}")]


def _why_not(core: "NodeCore", ask: LeaseAsk, peer: str) -> str:
    """Why an ask is refused, whoever has the lease; "" if it is not."""
    barred = core.leases.barred(core)
    if barred:
        return f"{core.name} takes no part: {barred}"
    if peer in core.conflicts.clones:
        return f"two machines hold the disk of {peer}"
    if lease_members.at(core, peer) not in core.leases.rosters.nodes:
        return f"{peer} is not in the roster that {core.name} goes by"
    if not is_start(core, peer, ask.boot):
        return f"{core.name} knows another start of {peer}"
    rosters = core.leases.rosters
    if (ask.trust_generation or FIRST, ask.state) < (rosters.generation, rosters.since):
        return f"{peer} goes by an earlier roster"
    if ask.workload not in planned(core):
        return f"the plan that {core.name} goes by has no such pipeline"
    return ""
