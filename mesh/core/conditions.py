"""The conditions of a node that make alarms for as long as they last."""

from typing import TYPE_CHECKING

from mesh.core.overlaps import overlaps
from mesh.events import Instruction

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


Active = tuple[tuple[str, dict[str, str], str], ...]
"""Of each kind of alarm: the subjects, each with a message, and the severity."""


def conditions(core: "NodeCore") -> list[Instruction]:
    """Sets and clears the alarms that follow from what is so now."""
    return [
        instruction
        for kind, subjects, severity in active(core)
        for instruction in core.alarms.update(kind, subjects, severity, core.wall_ms)
    ]


def active(core: "NodeCore") -> Active:
    """What is so now that a person should know of."""
    artifacts = core.artifacts
    held_back = {digest.hex()[:16]: reason for digest, reason in artifacts.failed.items()}
    refused = {digest.hex()[:16]: reason for digest, reason in artifacts.refused.items()}
    return (
        ("Offline", _offline(core), "critical"),
        ("Pending", {**core.placement.pending, **core.leases.pending}, "warning"),
        ("Overlap", overlaps(core), "warning"),
        ("Drain", _stays(core), "warning"),
        ("Admission", core.admissions.clashes, "critical"),
        ("Disk", held_back | _reserve(core), "critical"),
        ("OutOfSync", _out_of_sync(core), "warning"),
        ("Clock", core.clocks.faults, "warning"),
        ("RefusedArtifact", refused, "critical"),
        ("RefusedState", _refused_state(core), "critical"),
        ("TooNew", _too_new(core), "warning"),
        ("Refused", core.share.refused_by_site(), "critical"),
        ("Copies", _no_room(core), "warning"),
        ("Register", _too_large(core), "critical"),
        ("CrashLoop", core.runtime.crashing() | core.quarantine.alarms(), "critical"),
    )


def _too_large(core: "NodeCore") -> dict[str, str]:
    if not core.membership.too_large:
        return {}
    text = "the others go by what it said before: let fewer services and pipelines run on this node"
    return {core.name: f"{core.membership.too_large}; {text}"}


def _reserve(core: "NodeCore") -> dict[str, str]:
    if not core.disk_short:
        return {}
    text = "the room that is kept for state and journals is being used up: free space on the disk"
    return {"reserve": f"{text} of the data folder; nothing is fetched meanwhile"}


def _out_of_sync(core: "NodeCore") -> dict[str, str]:
    """Not where the reason is known, and another alarm says it."""
    known = core.peer.heads.too_new or core.in_force.refused
    return {core.name: core.lag.late} if core.lag.late and not known else {}


def _stays(core: "NodeCore") -> dict[str, str]:
    """What draining nodes cannot give away, as NODE/WORKLOAD."""
    stays = core.placement.stays
    return {f"{node}/{workload}": reason for (node, workload), reason in stays.items()}


def _offline(core: "NodeCore") -> dict[str, str]:
    """The dead of the roster; a node that the authority took out of it is not missed."""
    dead = core.membership.liveness.dead()
    roster = {entry.node for entry in core.branch.roster} if dead else set()
    if roster:
        roster |= core.admissions.nodes.keys()
    return {
        node: "no answer, directly or through others: see to its power and its network"
        for node in dead
        if not roster or node in roster
    }


def _refused_state(core: "NodeCore") -> dict[str, str]:
    refused = core.in_force.refused
    return {core.peer.config.site: refused} if refused else {}


def _no_room(core: "NodeCore") -> dict[str, str]:
    return {
        node: "its records are not copied here any more and stay on its own disk: there are too "
        "many that no master has; see to the WAN, and to what makes that node write so much"
        for node in core.peer.logs.copies.full()
    }


def _too_new(core: "NodeCore") -> dict[str, str]:
    heads = core.peer.heads
    if not heads.too_new:
        return {}
    message = f"state {heads.state.floor[1]} is for a newer release: upgrade meshd on this node"
    return {core.name: f"{message}; the last good state stays in force"}
