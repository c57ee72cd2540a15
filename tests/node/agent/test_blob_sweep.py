"""Small blobs that nothing names any more go, and no others."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.hashing import sha256
from node.agent.blob_sweep import BlobSweep, named_by_node
from node.agent.config import Config
from node.agent.master_daemon import MasterDaemon
from node.agent.named_by_master import NamedByMaster
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys
from node.disk.blobs import BlobStore
from node.disk.errors import DiskFailed
from node.disk.folder import DataFolder
from tests.node.master.fleet import Fleet
from tests.sim.site import Site

SITE = """apiVersion: mesh/v1
kind: Site
metadata: {{name: north-{number}, labels: {{shop: {label}}}}}
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


class Master:
    """A master with some states behind it; `sites` is how many branches change with each."""

    def __init__(self, folder: DataFolder, keys: MasterKeys, sites: int = 1) -> None:
        self.daemon = MasterDaemon(Config(), folder, keys)
        self.sites = sites

    def apply(self, label: str) -> None:
        texts = [SITE.format(number=number, label=label) for number in range(self.sites)]
        self.daemon.authority.apply("---\n".join(texts).encode())


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    paths = initialise(tmp_path / "mesh", "acme", "master-1", "ada")
    with DataFolder(paths.master) as folder:
        master = Master(folder, MasterKeys.load(paths.master))
        yield master
        master.daemon.store.close()


def test_a_master_keeps_the_branches_of_now(master: Master) -> None:
    daemon = master.daemon

    async def story() -> None:
        for label in ("one", "two"):
            master.apply(label)
            await daemon.announce()
        blobs = daemon.stores.blobs
        sweep = daemon.make_sweep()
        before = set(blobs.sizes())
        for _ in range(2):
            await sweep.sweep()
        assert set(blobs.sizes()) == NamedByMaster(daemon.authority)() < before

    asyncio.run(story())


def test_what_a_master_names_is_worked_out_once_for_each_state(tmp_path: Path) -> None:
    fleet = Fleet(initialise(tmp_path / "mesh", "acme", "master-1", "ada"), tmp_path)
    authority = fleet.authority
    named = NamedByMaster(authority)
    first = named()
    assert named() is first
    manifest = fleet.manifest("bulk", "v1")
    authority.release(manifest)
    second = named()
    found = [authority.branch(name) for name in authority.branch_names()]
    assert second == {sha256(blob) for _, blob in filter(None, found)} | {sha256(manifest)}
    assert second != first
    assert named() is second
    fleet.store.close()


def test_a_state_is_announced_between_two_removals(master: Master) -> None:
    daemon, blobs = master.daemon, master.daemon.stores.blobs
    master.sites = 3
    discard = blobs.discard
    announced: list[bool] = []
    tasks: list[asyncio.Task[None]] = []

    async def begin() -> None:
        tasks.append(asyncio.create_task(daemon.announce()))
        await asyncio.sleep(0)  # it waits for the sweep from here on

    async def story() -> None:
        loop = asyncio.get_running_loop()

        def removed(digest: bytes) -> None:
            if not tasks:
                master.apply("three")
                asyncio.run_coroutine_threadsafe(begin(), loop).result()
            announced.append(tasks[0].done())
            discard(digest)

        blobs.discard = removed  # type: ignore[method-assign]
        for label in ("one", "two"):
            master.apply(label)
            await daemon.announce()
        sweep = daemon.make_sweep()
        for _ in range(2):
            await sweep.sweep()

    asyncio.run(story())
    assert announced[:1] == [False]
    assert len(announced) > 1
    assert all(announced[1:])


def test_a_node_keeps_the_branches_in_force_and_the_manifests_that_it_knows() -> None:
    node = Site(1).settle(replicas=1).nodes[0]
    named = named_by_node(node.core)
    branches = {branch.digest for branch in node.core.peer.heads.branches.values()}
    assert named == branches | set(node.core.artifacts.known)
    assert len(named) > len(branches) > 0
