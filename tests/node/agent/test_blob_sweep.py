"""Small blobs that nothing names any more go, and no others."""

import asyncio
from pathlib import Path
from typing import Any

from node.agent.blob_sweep import BlobSweep, named_by_node
from node.agent.config import Config
from node.agent.master_daemon import MasterDaemon
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys
from node.disk.blobs import BlobStore
from node.disk.errors import DiskFailed
from node.disk.folder import DataFolder
from tests.sim.site import Site

SITE = """apiVersion: mesh/v1
kind: Site
metadata: {{name: north, labels: {{shop: {label}}}}}
spec: {{}}
"""


async def at_once(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


def test_what_two_sweeps_find_without_use_goes(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    old, new = blobs.put(b"the plan before"), blobs.put(b"the plan")
    needed = {old}
    sweep = BlobSweep(blobs, lambda: needed, at_once)
    asyncio.run(sweep.sweep())
    needed = {new}
    assert (blobs.has(old), blobs.has(new)) == (True, True)
    asyncio.run(sweep.sweep())
    assert (blobs.has(old), blobs.has(new)) == (True, True), "unneeded once only"
    asyncio.run(sweep.sweep())
    assert (blobs.has(old), blobs.has(new)) == (False, True)


def test_what_is_needed_again_stays(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = blobs.put(b"undone, and done again")
    needed: set[bytes] = set()
    sweep = BlobSweep(blobs, lambda: needed, at_once)
    asyncio.run(sweep.sweep())
    needed.add(blob)
    asyncio.run(sweep.sweep())
    needed.clear()
    asyncio.run(sweep.sweep())
    assert blobs.has(blob)


def test_a_disk_that_refuses_is_swept_another_time(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob = blobs.put(b"the plan before")
    refuses = [False, True, False]

    async def disk(function: Any, *arguments: Any) -> Any:
        if function == blobs.sizes and refuses.pop(0):
            raise DiskFailed(tmp_path, "it does not answer")
        return function(*arguments)

    sweep = BlobSweep(blobs, set, disk)
    for _ in range(2):
        asyncio.run(sweep.sweep())
    assert blobs.has(blob)
    asyncio.run(sweep.sweep())
    assert not blobs.has(blob)


def test_a_master_keeps_the_branches_of_now(tmp_path: Path) -> None:
    paths = initialise(tmp_path / "mesh", "acme", "master-1", "ada")

    async def story() -> None:
        with DataFolder(paths.master) as folder:
            daemon = MasterDaemon(Config(), folder, MasterKeys.load(paths.master))
            for label in ("one", "two"):
                daemon.authority.apply(SITE.format(label=label).encode())
                await daemon.announce()
            blobs = daemon.stores.blobs
            sweep = BlobSweep(blobs, daemon._named, at_once)
            before = set(blobs.sizes())
            for _ in range(2):
                await sweep.sweep()
            assert set(blobs.sizes()) == daemon._named() < before
            daemon.store.close()

    asyncio.run(story())


def test_a_node_keeps_the_branches_in_force_and_the_manifests_that_it_knows() -> None:
    node = Site(1).settle(replicas=1).nodes[0]
    named = named_by_node(node.core)
    branches = {branch.digest for branch in node.core.peer.heads.branches.values()}
    assert named == branches | set(node.core.artifacts.known)
    assert len(named) > len(branches) > 0
