"""How daemons answer for cordon and drain, where the mesh of processes does not come by."""

import asyncio
from pathlib import Path

import pytest

from mesh.core.cordon import CORDON
from mesh.core.messages import CordonAsked
from node.admin.backend import BadInput, Exhausted, NotFound, NotHere, Refused
from node.agent.cordon import OwnCordon, begun, check_at_master, cordon_document
from node.master.records import NodeRecord
from protos.documents_pb2 import Phase, PipelineState, ReplicaState, StableRegister
from tests.node.agent.stores import StubbornDisk, make_stores
from tests.sim.site import Site

SERVES = ReplicaState(workload="faces", phase=Phase.SERVING)
RECORD = NodeRecord("north-1", "north", b"", b"", b"", 0)


@pytest.mark.parametrize(
    ("body", "said", "word"),
    [
        pytest.param(None, None, "", id="nothing is known"),
        pytest.param(None, False, "cordoned", id="off, cordoned at a master"),
        pytest.param(None, True, "draining", id="off, drained at a master"),
        pytest.param(StableRegister(), None, "", id="takes work"),
        pytest.param(StableRegister(cordoned=True), None, "cordoned", id="cordoned at the node"),
        pytest.param(StableRegister(cordoned=True), True, "draining", id="has not heard of it"),
        pytest.param(StableRegister(draining=True, replicas=[SERVES]), None, "draining", id="runs"),
        pytest.param(StableRegister(draining=True), False, "drained", id="nothing runs"),
    ],
)
def test_what_is_shown_of_a_node(body: StableRegister | None, said: bool | None, word: str) -> None:
    assert cordon_document(body, said).get("cordon", "") == word


def test_replicas_and_pipelines_are_what_still_runs() -> None:
    body = StableRegister(replicas=[SERVES], pipelines=[PipelineState(workload="door")])
    assert (begun(body), begun(None)) == (2, 0)


def test_a_master_does_not_end_what_was_said_at_the_node() -> None:
    body = StableRegister(cordoned=True, peer_address="10.0.0.7:7400")
    with pytest.raises(Refused, match=r"--address 10\.0\.0\.7:7400 --identity north-1"):
        check_at_master(RECORD, body, False)
    for node, said, held_back in (
        (None, body, False),
        (RECORD, None, False),
        (RECORD, StableRegister(), False),
        (RECORD, body, True),
    ):
        check_at_master(node, said, held_back)


async def test_what_the_disk_does_not_keep_is_not_done(tmp_path: Path) -> None:
    (node,) = Site(1).settle(1).nodes
    disk = StubbornDisk()
    documents = make_stores(tmp_path, disk).documents
    own = OwnCordon(node.core, documents, asyncio.to_thread, node.feed)
    disk.refuse.add(CORDON)
    with pytest.raises(Exhausted, match="nothing was changed"):
        await own.ask(node.name, CordonAsked(True, False, "", "ann"))
    assert (node.core.cordon.own, documents.find(CORDON)) == (None, None)
    disk.refuse.clear()
    assert (await own.ask(node.name, CordonAsked(True, False, "", "ann"))).workloads == 1
    found = documents.find(CORDON)
    assert found is not None
    assert StableRegister.FromString(found.data).cordoned
    assert node.core.cordon.own is False


async def test_a_node_answers_for_itself_alone_and_not_for_a_master(tmp_path: Path) -> None:
    site = Site(2).settle(1)
    node, other = site.nodes
    documents = make_stores(tmp_path, StubbornDisk()).documents
    own = OwnCordon(node.core, documents, asyncio.to_thread, node.feed)
    cordoned, free = CordonAsked(True, False, "", "ann"), CordonAsked(False, False, "", "ann")
    with pytest.raises(NotHere, match=f"--address {other.name}:7400 --identity {other.name}"):
        await own.ask(other.name, cordoned)
    with pytest.raises(NotFound, match="its site 'south' knows no node 'north-9'"):
        await own.ask("north-9", cordoned)
    with pytest.raises(BadInput, match="all printable"):
        await own.ask(node.name, CordonAsked(True, False, "\a", "ann"))
    site.publish(replicas=1, held_back={node.name: False})
    site.world.run_until(lambda: node.core.cordon.draining is not None, 5_000, "it is told")
    with pytest.raises(Refused, match="only a master can end that"):
        await own.ask(node.name, free)
    await own.ask(node.name, cordoned)
    await own.ask(node.name, free)
    assert (node.core.cordon.own, node.core.cordon.draining) == (None, False)
