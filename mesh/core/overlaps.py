"""Exclusive pipelines with `onSplit: run` that run on several nodes at once: after a split, until
the site has agreed again. Each of these nodes says so, and who the others are."""

from typing import TYPE_CHECKING

from mesh.site.leases import needs_lease
from protos.documents_pb2 import Phase

if TYPE_CHECKING:
    from mesh.core.node import NodeCore

RUNS = (Phase.LOADING, Phase.SERVING, Phase.FAILED)
"""What may act, or tries to."""


def kept(core: "NodeCore") -> set[str]:
    """Those that go on here although they are placed on a node that was away, until it says itself
    what it runs: so both know of each other before one stops."""
    placed = core.placement.pipelines
    return {
        name
        for name in _mine(core)
        if placed.get(name, core.name) != core.name and core.share.is_out_of_date(placed[name])
    }


def _mine(core: "NodeCore") -> set[str]:
    plans = core.branch.plan.pipelines
    exclusive = {plan.name for plan in plans if plan.exclusive and not needs_lease(plan)}
    states = () if core.runtime.gone else core.runtime.state.pipelines
    return {status.state.workload for status in states} & exclusive


def overlaps(core: "NodeCore") -> dict[str, str]:
    """The exclusive pipelines that run here and on another live node, with what comes of it."""
    mine = _mine(core)
    found: dict[str, list[str]] = {}
    for record in core.membership.registers.records() if mine else ():
        node = record.body.node
        if node != core.name and core.membership.liveness.is_alive(node):
            for state in record.body.pipelines:
                if state.workload in mine and state.phase in RUNS:
                    found.setdefault(state.workload, []).append(node)
    return {
        name: f"it runs here and on {', '.join(sorted(others))}: after a split, or while it moves; "
        "one stops by itself now that they see each other. What must never run twice asks for "
        "onSplit: stop"
        for name, others in found.items()
    }
