"""How one simulated node is now, as plain data for the checks."""

from mesh.site.local import ReplicaKey
from mesh.site.placement import Placement
from protos.documents_pb2 import Phase
from tests.sim.checks.facts import NodeSample
from tests.sim.rough.node import RoughNode


def sample_of(node: RoughNode) -> NodeSample:
    """What its machine does, and what its agent thinks, if it is awake."""
    serving: dict[tuple[str, str], int] = {}
    pids: dict[ReplicaKey, int] = {}
    for key, status in node.runs.items():
        if status.state.phase == Phase.SERVING and not node.runtime_frozen:
            name = (key.workload, status.state.model_version)
            serving[name] = serving.get(name, 0) + 1
            pids[key] = status.pid
    sent = node.world.sent.get(node.name, 0)
    sent_bytes = node.world.sent_bytes.get(node.name, 0)
    pipelines = frozenset(node.pipelines)
    if not node.up or node.frozen:
        return NodeSample(
            node.on, False, serving, pids, pipelines, sent=sent, sent_bytes=sent_bytes, room=0
        )
    core = node.core
    heads = core.peer.heads
    applied = heads.state.applied
    placement = core.placement
    # A link that broke in this very moment is with no machine any more, and not with its namesake.
    machines = {node.world.machine(node.name, peer) for peer in core.peer.links}
    links = frozenset(m for m in machines if frozenset((node.name, m)) in node.world.linked)
    former = {name: node.world.hosts[name].contact.tls_key for name in node.world.former}
    held = {record.keys.tls_key for record in core.membership.registers.records()}
    return NodeSample(
        up=node.on,
        awake=True,
        serving=serving,
        pids=pids,
        pipelines=pipelines,
        applied=applied.order if applied is not None else (0, 0),
        in_force=(core.in_force.generation, core.in_force.counter),
        trust=heads.trust.generation,
        live=tuple(core.membership.liveness.live()),
        placement=placement_of(placement),
        registers={r.body.node: r.order for r in core.membership.registers.records()},
        alarms=frozenset((a.kind, a.subject) for a in core.alarms.states()),
        claims=frozenset(
            ReplicaKey(r.workload, r.index, r.config)
            for r in core.register.replicas
            if r.phase == Phase.SERVING
        ),
        reported=node.reported,
        sent=sent,
        sent_bytes=sent_bytes,
        links=links,
        hears=frozenset(name for name in links if node.world.answers(node.name, name)),
        shuns=frozenset(n for n, key in former.items() if core.revoked.is_revoked(key)),
        counts=frozenset(n for n, key in former.items() if key in held),
        able=not node.disk_refuses and not node.disk_slow_ms,
        stays=frozenset(service for name, service in placement.stays if name == node.id),
        changes=frozenset((*c.key, c.body.value) for c in core.changes.held),
        unix_ms=core.unix_ms(),
        lies=bool(node.lies),
        room=_room(node),
        unheard=frozenset(n for n in node.world.hosts if not node.world.answers(node.name, n)),
    )


def _room(node: RoughNode) -> int:
    """For how many replicas it takes new work: one for each core."""
    works = node.runtime_up and not node.runtime_frozen and node.core.cordon.draining is None
    return node.cores if works and node.lies != "nothing" else 0


def placement_of(placement: Placement) -> object:
    """A placement as something that can be compared and printed."""
    replicas = tuple((n, tuple(sorted(c.items()))) for n, c in sorted(placement.replicas.items()))
    return (replicas, tuple(sorted(placement.pipelines.items())))
