"""What a node shows of its own site."""

from mesh.events import Received
from mesh.exchange.frames import pack
from mesh.heads.limits import NUMBER_MAX
from node.agent.own_site import own_site
from node.agent.site_documents import in_force
from protos.documents_pb2 import StableRegister
from tests.sim.nodes import SimNode
from tests.sim.site import Site


def shown(node: SimNode) -> dict[str, object]:
    """The site as this node shows it, where all live."""
    records = node.core.membership.registers.records()
    nodes = [{"node": r.body.node, "live": "live", "in_force": in_force(r.body)} for r in records]
    return own_site(node.core, nodes, since_ms=7, alarms=2)


def test_a_site_at_rest() -> None:
    site = Site(2).settle(1)
    site.world.run(10_000)
    assert shown(site.nodes[0]) == {
        "site": "south",
        "nodes": 2,
        "live": 2,
        "wan": "up",
        "since": 7,
        "gateway": site.gateway().name,
        "applied": 1,
        "seen": 1,
        "out_of_sync": [],
        "alarms": 2,
        "labels": {},
    }


def test_a_state_that_one_register_claims_puts_nobody_out_of_sync() -> None:
    site = Site(3).settle(1)
    site.world.run(10_000)
    first, _, liar = site.nodes
    body = StableRegister()
    body.CopyFrom(liar.core.register)
    body.version, body.seen_counter = body.version + 1, NUMBER_MAX
    envelope = liar.signer.sign("register", body.SerializeToString())
    for frame in pack([("registers", envelope)]):
        first.feed(Received(liar.name, frame))
    held = first.core.membership.registers.get(liar.name)
    assert held is not None
    assert held.body.seen_counter == NUMBER_MAX
    assert shown(first)["seen"] == 1
    assert shown(first)["out_of_sync"] == []


def test_who_did_not_follow_a_state_that_this_node_has_is_named() -> None:
    site = Site(2).settle(1)
    late, first = site.nodes
    late.freeze(True)
    site.publish(replicas=2)
    site.world.run(2_000)
    assert shown(first)["seen"] == 2
    assert shown(first)["out_of_sync"] == [late.name]
