"""What a node does when the authority has spoken: takes the branch of its site, shuts out who is
revoked, and looks anew at what its operators changed."""

from typing import TYPE_CHECKING

from mesh.core.in_force import NO_PROOF, NO_STATE, Order, Proof
from mesh.core.messages import NodeOutput
from mesh.events import Drop, Notice, WriteJournal

if TYPE_CHECKING:
    from mesh.core.node import NodeCore


class Authority:
    """The authority's word at one node, and for which of its words was shut out already."""

    def __init__(self, core: "NodeCore") -> None:
        self._shut_out_by = _rests_on(core)

    def start(self, core: "NodeCore", kept: bytes, now_ms: int) -> None:
        """What the disk holds of it is in force before anything else happens; `kept` is the
        document of what was."""
        core.admissions.unix_ms = core.unix_ms()
        core.in_force.start(kept, *_applied(core))
        if core.branch.site:
            _go_by(core)
        core.stale = "the plan, disk"
        core.cordon.start()
        core.changes.authority_spoke()
        self._shut_out(core, now_ms)  # who was revoked may be remembered from before

    def spoke(self, core: "NodeCore", notice: Notice, now_ms: int) -> list[NodeOutput]:
        """A state was applied, trust changed, or there is a state for newer readers."""
        entries: list[NodeOutput] = []
        if notice.what == "state":
            if core.in_force.use(*_applied(core)):
                _go_by(core)
            core.stale = f"the plan, {notice.cause}"
            site, fields = core.peer.config.site, {"counter": notice.subject}
            entries.append(WriteJournal("record", "plan.applied", site, notice.cause, fields))
        core.stale = core.stale or f"{notice.what} {notice.subject}, {notice.cause}"
        return [*entries, *self._shut_out(core, now_ms), *_changes_anew(core)]

    def caught_up(self, core: "NodeCore", peer: str, now_ms: int) -> list[NodeOutput]:
        """The state that a neighbour goes by is in force here, too."""
        _go_by(core)
        cause = f"{peer} goes by it, and the newest is not in force"
        core.stale = f"the plan, {cause}"
        site, fields = core.peer.config.site, {"counter": str(core.in_force.counter)}
        entry = WriteJournal("record", "plan.applied", site, cause, fields)
        return [entry, *self._shut_out(core, now_ms), *_changes_anew(core)]

    def look_at_boxes(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Takes in the boxes that an operator at the site admitted, and shuts out at once those
        whose place they take."""
        core.admissions.unix_ms = core.unix_ms()
        entries = core.admissions.look()
        if not entries:
            return []
        core.in_force.use_replaced(core.admissions.replaced())
        core.stale = core.stale or "a box was admitted"
        return [*entries, *self._shut_out(core, now_ms)]

    def _shut_out(self, core: "NodeCore", now_ms: int) -> list[NodeOutput]:
        """Closes the links of revoked peers and forgets what they, and those whose certificates
        hold no more, said of themselves."""
        by = _rests_on(core)
        if by != self._shut_out_by:
            self._shut_out_by = by
            records = core.membership.registers.records()
            gone = [r.body.node for r in records if core.revoked.is_revoked(r.keys.tls_key)]
            gone += core.peer.recheck_registers()
            core.share.rollouts.inherit(records, gone, core.branch.plan.services)
            core.membership.forget([node for node in gone if node != core.name], now_ms)
        return [
            Drop(peer, f"revoked: {reason}")
            for peer, link in sorted(core.peer.links.items())
            if (reason := core.revoked.is_revoked(link.contact.tls_key)) is not None
        ]


def _rests_on(core: "NodeCore") -> object:
    """What it depends on who is shut out, to be compared."""
    boxes = core.admissions.tls_keys
    return core.peer.heads.trust.generation, core.revoked.tls_keys, boxes


def _applied(core: "NodeCore") -> tuple[dict[str, bytes], Order, Proof]:
    """The branches of the state applied last, its order, and what proves them."""
    heads = core.peer.heads
    applied = heads.state.applied
    if applied is None:
        return heads.contents(), NO_STATE, NO_PROOF
    return heads.contents(), applied.order, (applied.envelope, heads.branches)


def _go_by(core: "NodeCore") -> None:
    """Tells all that rests on the site's branch of the one in force."""
    # Those of nodes that were shut out stay: what they journalled before lies with their
    # neighbours, and is handed over as long as somebody can check it.
    for entry in core.branch.roster:
        core.peer.writers.remember(entry.node, entry.signing_key)
    core.leases.rosters.use(core.branch, core.in_force.counter, core.in_force.generation)
    core.admissions.use(core.branch)
    core.in_force.use_replaced(core.admissions.replaced())


def _changes_anew(core: "NodeCore") -> list[NodeOutput]:
    """The local changes that count under what the authority says now."""
    done: list[NodeOutput] = [*core.changes.authority_spoke()]
    for record in core.membership.registers.records():
        if record.body.local_changes:
            heard = record.body.local_changes, record.body.node
            done += core.changes.heard(*heard, core.unix_ms())
    return done
