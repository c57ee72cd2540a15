"""A local change at the node that takes it: on its disk before anybody is told that it counts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.core.changes import LOCAL_CHANGES
from mesh.core.messages import ChangeMade
from mesh.hashing import sha256
from node.admin.backend import Exhausted, Refused
from node.agent.local_changes import OwnChanges
from node.disk.documents import DocumentStore
from protos.documents_pb2 import Autonomy, KeptChanges
from tests.node.agent.stores import StubbornDisk, make_stores
from tests.sim.nodes import SimNode
from tests.sim.operators import HOUR_MS, local_change
from tests.sim.site import Site


@pytest.fixture
def node() -> SimNode:
    site = Site(1)
    site.boot()
    site.world.run(2_000)
    autonomy = Autonomy(allow=["scale"], until_ms=24 * HOUR_MS)
    site.publish(replicas=1, most=4, autonomy=autonomy)
    site.world.run_until(lambda: site.serving() == 1, 15_000, "it serves")
    return site.nodes[0]


def kept(documents: DocumentStore) -> list[bytes]:
    """The changes that count by what the disk holds."""
    found = documents.find(LOCAL_CHANGES)
    return list(KeptChanges.FromString(found.data).counting) if found is not None else []


async def test_it_is_on_the_disk_before_anybody_goes_by_it(node: SimNode, tmp_path: Path) -> None:
    documents = make_stores(tmp_path, StubbornDisk()).documents
    envelope = local_change(node)
    fed: list[ChangeMade] = []

    def feed(event: ChangeMade) -> None:
        assert kept(documents) == [envelope]
        fed.append(event)

    own = OwnChanges(node.core, documents, asyncio.to_thread, feed)
    assert await own.change(envelope) == sha256(envelope)
    assert fed == [ChangeMade(envelope)]
    node.feed(fed[0])
    assert node.core.changes.document() == node.disk.documents[LOCAL_CHANGES]
    assert kept(documents) == node.core.changes.envelopes()


async def test_what_the_disk_does_not_keep_does_not_count(node: SimNode, tmp_path: Path) -> None:
    disk = StubbornDisk()
    own = OwnChanges(node.core, make_stores(tmp_path, disk).documents, asyncio.to_thread, node.feed)
    disk.refuse.add(LOCAL_CHANGES)
    with pytest.raises(Exhausted, match="nothing was changed"):
        await own.change(local_change(node))
    assert node.core.changes.held == []
    disk.refuse.clear()
    await own.change(local_change(node))
    assert [one.body.value for one in node.core.changes.held] == ["3"]


async def test_where_another_change_comes_first_meanwhile_that_one_stays(
    node: SimNode, tmp_path: Path
) -> None:
    documents = make_stores(tmp_path, StubbornDisk()).documents
    later = local_change(node, value="2", counter=2)

    async def slow(work: Callable[..., Any], *arguments: Any) -> Any:
        node.feed(ChangeMade(later))
        return await asyncio.to_thread(work, *arguments)

    own = OwnChanges(node.core, documents, slow, node.feed)
    with pytest.raises(Refused, match="made after it counts"):
        await own.change(local_change(node))
    assert kept(documents) == [later] == node.core.changes.envelopes()
