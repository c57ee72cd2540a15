"""A master's refusals in the service's words."""

import asyncio
from pathlib import Path

import pytest

from node.admin.backend import Exhausted
from node.agent.config import Config
from node.agent.master_backend import MasterBackend
from node.agent.master_daemon import MasterDaemon
from node.disk.authority_folder import initialise
from node.disk.authority_keys import MasterKeys
from node.disk.folder import DataFolder

SITE = """apiVersion: mesh/v1
kind: Site
metadata: {{name: north, labels: {{{labels}}}}}
spec: {{}}
"""


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
