"""What the edge reports to a node's core: of its runtime, its disk, its WAN path, and of what was
asked here by hand."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mesh.core.messages import (
    ArtifactBegun,
    ArtifactDamaged,
    ArtifactFailed,
    ArtifactFinished,
    ArtifactRemoved,
    CordonAsked,
    DiskRoom,
    Leaving,
    NeighbourSilent,
    NodeOutput,
    RestartAsked,
    RuntimeReported,
    Trouble,
    WanPath,
)
from mesh.core.troubles import of_node
from mesh.events import WriteJournal

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


def runtime_reported(core: "NodeCore", event: RuntimeReported, now_ms: int) -> list[NodeOutput]:
    """The runtime said what runs, or is gone. It says the same again each time it is told
    something, and the agent that it is gone for as long as it is: no decision rests on that."""
    known = None if core.runtime.gone else core.runtime.state
    if event.state != known or not core.runtime.heard:
        core.stale = "the runtime's state"
    changes = core.runtime.update(event.state)
    crashes = core.quarantine.heard(event.state, now_ms)
    if event.state is None:
        core.share.runtime_gone()
    entries = [
        WriteJournal("record", change.event, change.subject, change.reason, change.fields)
        for change in changes
    ]
    outputs = [*entries, *crashes, *core.leases.reported(core, now_ms)]
    if core.runtime_loss.heard(event.state is not None, now_ms):
        # Before it is decided what runs here: what a runtime that was frozen still runs stays.
        outputs += core.publish(now_ms)
    return outputs


def wan_path(core: "NodeCore", event: WanPath, now_ms: int) -> Sequence[NodeOutput]:
    """Whether this node has a way of its own to a master."""
    if event.up == core.wan:
        return []
    core.wan = event.up
    core.stale = f"the WAN path is {'up' if event.up else 'down'}: {event.reason}"
    sources = core.facts.masters if event.up else ()
    return core.artifacts.carry(core.artifacts.swarm.wan_sources(sources, now_ms))


def disk_room(core: "NodeCore", event: DiskRoom) -> Sequence[NodeOutput]:
    """Whether the disk is short of room."""
    core.collecting.room(event.short)
    if event.short or core.disk_short:
        core.stale = "the room on the disk"
    core.disk_short = event.short
    return []


def told_by_hand(
    core: "NodeCore", event: Trouble | CordonAsked | RestartAsked
) -> Sequence[NodeOutput]:
    """What the edge noticed, or an operator said here."""
    if isinstance(event, RestartAsked):
        core.stale = "an operator restarts something here"
        return core.quarantine.restarted(event.workload)
    if isinstance(event, CordonAsked):
        core.cordon.asked(event)
        core.stale = "an operator asked this node"
        return []
    if not event.message:
        return core.alarms.clear(event.kind, event.subject, "it is over")
    kind, subject, message = event.kind, event.subject, event.message
    raised = core.alarms.set(kind, subject, message, event.severity, core.wall_ms)
    core.alarms.say(kind, subject, message)
    return raised


def away(core: "NodeCore", event: Leaving | NeighbourSilent, now_ms: int) -> Sequence[NodeOutput]:
    """This agent ends, as planned, or a neighbour's did and is not to be waited for."""
    if isinstance(event, NeighbourSilent):
        core.membership.liveness.goes_away(event.node, None)
        cause = "its agent is away, and its runtime does not answer"
        return [WriteJournal("record", "node.silent", event.node, cause)]
    core.leaving = True
    return [*core.troubles.save(partial(of_node, core), now_ms), *core.publish(now_ms)]


def artifact(
    core: "NodeCore",
    event: ArtifactBegun | ArtifactFailed | ArtifactFinished | ArtifactDamaged | ArtifactRemoved,
    now_ms: int,
) -> Sequence[NodeOutput]:
    """What became of an artifact on this disk."""
    match event:
        case ArtifactBegun():
            return core.artifacts.begun(event, now_ms)
        case ArtifactFailed():
            core.stale = "the disk refused an artifact"
            return core.artifacts.disk_refused(event, now_ms)
        case ArtifactFinished():
            core.stale = "an artifact is whole"
            return core.artifacts.finished(event)
        case ArtifactRemoved():
            core.stale = "an artifact is gone"
            core.collecting.removed()
            return core.artifacts.removed(event, now_ms)
        case _:
            core.stale = "an artifact is damaged"
            core.share.not_told(event.untold)
            return core.artifacts.damaged(event, now_ms)
