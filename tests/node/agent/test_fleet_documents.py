"""The fleet as a master shows it: by what its nodes say of each other."""

from dataclasses import replace
from typing import Any

from mesh.registers.store import Registers
from node.agent.fleet_documents import fleet_documents, fleet_workloads, undead
from node.master.records import NodeRecord
from protos.documents_pb2 import AlarmState, Boot, ReplicaState, StableRegister
from tests.sim import identities
from tests.sim.nodes import keys_in

NODES = ["a", "b", "c"]
ENROLLED = {name: NodeRecord(name, "north", b"", b"", b"", 0) for name in [*NODES, "d"]}


def said(node: str, *offline: str) -> Any:
    """What a node says, among it who is offline."""
    identity = identities.node_identity("north", node)
    body = StableRegister(
        node=node,
        site="north",
        boot=Boot(counter=1, nonce=b"12345678"),
        version=1,
        certificate=identities.certificate(identity).der,
        alarms=[AlarmState(kind="Offline", subject=name) for name in offline],
        replicas=[ReplicaState(workload="faces")],
        wan=True,
    )
    envelope = identities.signer(identity.uri).sign("register", body.SerializeToString())
    return Registers("north", keys_in).accept(envelope)[1]


def live(records: list[Any], linked: dict[str, str]) -> dict[str, str]:
    documents = fleet_documents(ENROLLED, records, linked, {})
    return {one["node"]: one["live"] for one in documents}


def test_a_node_is_what_its_neighbours_say_and_not_what_it_says_itself() -> None:
    records = [said("a", "b", "a"), said("b", "b"), said("c")]
    assert live(records, {"a": "north"}) == {"a": "live", "b": "dead", "c": "live", "d": "unknown"}
    assert set(live(records, {}).values()) == {"unknown"}, "nobody is there who could say it"


def test_whom_a_neighbour_says_to_be_offline_is_dead_but_for_one_with_a_link_here() -> None:
    records = [said("a", "b", "c"), said("b", "a"), said("c")]
    assert [body.node for body in undead(records, {"a": "north", "b": "north"})] == ["a", "b"]
    assert [body.node for body in undead(records, {})] == NODES, "nobody is there who could say it"


def test_a_node_that_is_not_reached_has_no_wan_and_a_revoked_one_is_shown_as_that() -> None:
    enrolled = {**ENROLLED, "d": replace(ENROLLED["d"], revoked="stolen")}
    shown = fleet_documents(enrolled, [said("a"), said("d")], {}, {})
    found = {one["node"]: one for one in shown}
    assert "wan" not in found["a"], "what it said last is not so now"
    assert (found["d"]["live"], found["d"]["revoked"]) == ("revoked", "stolen")
    linked = fleet_documents(enrolled, [said("a")], {"a": "north"}, {})
    assert linked[0]["wan"]


def test_the_workloads_of_nodes_that_are_not_heard_of_are_the_last_known() -> None:
    found = fleet_workloads([said("b"), said("a")], {"a"})
    assert [(one["node"], one["heard"]) for one in found] == [("a", "now"), ("b", "last known")]
