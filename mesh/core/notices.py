"""What a node does about the notices of its peer: nodes come, go and say new things of themselves,
links stand or end, the authority has spoken, somebody poses as somebody else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mesh.core.messages import NodeOutput
from mesh.events import Notice, WriteJournal

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

VERDICTS = {"dead": "node.dead", "suspect": "node.suspected", "alive": "node.alive"}
"""The events of the journal, by verdict."""


def act_on(core: "NodeCore", notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
    """What follows from one notice, in order; more notices may be among it."""
    match notice.what:
        case "state" | "trust" | "too-new":
            over = core.conflicts.spoke(notice.what)
            return [*over, *core.authority.spoke(core, notice, now_ms)]
        case "verdict":
            return _verdict(core, notice, now_ms)
        case "register":
            return _register_changed(core, notice, now_ms)
        case "link":
            return _link_changed(core, notice, now_ms)
        case "swarm" | "lease" | "in-force":
            return _frame(core, notice, now_ms)
        case "blob":
            return core.artifacts.blob(notice.data, notice.subject, now_ms)
        case "synced":
            core.synced_ms = now_ms
            return []
        case "clone" | "boot" | "equivocation" | "fork":
            core.stale = f"{notice.what}: {notice.subject}"
            return core.conflicts.noticed(notice, core.wall_ms)
        case "refused":
            return core.refusals.refused(notice.subject, notice.cause, now_ms)
        case _:
            return []


def _frame(core: "NodeCore", notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
    if notice.what == "lease":
        return core.leases.frame(core, notice.data, notice.subject, now_ms)
    if notice.what == "in-force":
        return core.catching_up.frame(core, notice.data, notice.subject, now_ms)
    return core.artifacts.frame(notice.data, notice.subject, now_ms)


def _verdict(core: "NodeCore", notice: Notice, now_ms: int) -> list[NodeOutput]:
    core.stale = f"{notice.subject} is {notice.data}"
    if notice.data == "dead":
        core.share.died(notice.subject)
        core.grounds.doubted(notice.subject)
    entry = WriteJournal("record", VERDICTS[notice.data], notice.subject, notice.cause)
    return [entry, *core.suppliers.tell(core, now_ms)]


def _register_changed(core: "NodeCore", notice: Notice, now_ms: int) -> list[NodeOutput]:
    if notice.subject == core.name:
        return core.suppliers.tell(core, now_ms)
    core.admissions.heard(notice.data.body.admissions)
    changes = notice.data.body.local_changes
    made = core.changes.heard(changes, notice.subject, core.unix_ms()) if changes else []
    if core.grounds.changed(notice.data) or made:
        core.stale = f"the register of {notice.subject}"
    return [*made, *core.conflicts.heard(notice.data), *core.suppliers.tell(core, now_ms)]


def _link_changed(core: "NodeCore", notice: Notice, now_ms: int) -> Sequence[NodeOutput]:
    swarm, peer = core.artifacts.swarm, notice.subject
    core.stale = f"the link with {peer} is {notice.cause}"
    if peer not in core.peer.neighbours() and notice.cause == "up":
        return core.artifacts.ask([peer])  # a master
    if notice.cause == "up":
        core.share.met(peer)
        core.leases.linked()
        met = core.artifacts.carry(swarm.peer_up(peer, now_ms))
        return [*met, *core.artifacts.ask([peer]), *core.loads.tell(peer)]
    return core.artifacts.carry(swarm.peer_down(peer, now_ms))
