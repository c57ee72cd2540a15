"""A master's refusals in the service's words."""

import asyncio
from pathlib import Path

import pytest

from node.admin.backend import BadInput, Exhausted
from node.agent.config import Config
from node.agent.master_backend import MasterBackend
from node.agent.master_daemon import MasterDaemon
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys
from node.disk.folder import DataFolder
from tests.node.master.fleet import Fleet

SITE = """apiVersion: mesh/v1
kind: Site
metadata: {{name: north, labels: {{{labels}}}}}
spec: {{}}
"""


SERVICE = b"""apiVersion: mesh/v1
kind: Service
metadata: {name: faces}
spec: {sites: [moon], model: m@1, replicas: {min: 1}, resources: {cores: 1, memory: 64MiB}}
"""
MODEL = b"""---
apiVersion: mesh/v1
kind: Model
metadata: {name: m}
spec: {version: "1"}
"""


def test_what_refers_to_nothing_is_told_by_file_line_and_column(tmp_path: Path) -> None:
    paths = initialise(tmp_path / "mesh", "acme", "master-1", "ada")

    async def story() -> None:
        with DataFolder(paths.master) as folder:
            daemon = MasterDaemon(Config(), folder, MasterKeys.load(paths.master))
            backend = MasterBackend(daemon._parts())
            with pytest.raises(BadInput, match=r"^faces.yaml:4:30: spec.model: .*\n.*nothing was"):
                await backend.apply(SERVICE, "faces.yaml", False)
            daemon.authority.release(Fleet(paths, tmp_path).manifest("m", "1", "model"))
            (warning,) = (await backend.apply(SERVICE + MODEL, "faces.yaml", False)).warnings
            assert warning.startswith("faces.yaml:4:15: spec.sites: no node is enrolled in site")
            daemon.store.close()

    asyncio.run(story())


def test_a_full_disk_at_the_master_is_told_and_changes_nothing(tmp_path: Path) -> None:
    paths = initialise(tmp_path / "mesh", "acme", "master-1", "ada")

    async def story() -> None:
        with DataFolder(paths.master) as folder:
            daemon = MasterDaemon(Config(), folder, MasterKeys.load(paths.master))
            backend = MasterBackend(daemon._parts())
            await backend.apply(SITE.format(labels="a: b").encode(), "-", False)
            before = daemon.authority.counter
            daemon.store._connection.execute("PRAGMA max_page_count = 1")  # SQLite: full from now
            large = ", ".join(f"label-{i}-{'x' * 50}: {'y' * 60}" for i in range(30))
            with pytest.raises(Exhausted, match="nothing was changed; look at the disk's free"):
                await backend.apply(SITE.format(labels=large).encode(), "-", False)
            assert daemon.authority.counter == before
            assert [d["spec"]["autonomy"] for d in backend.resources("Site")]
            daemon.store.close()

    asyncio.run(story())
