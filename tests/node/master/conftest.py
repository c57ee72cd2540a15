"""One mesh's keys for all tests of the master; each test has a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.disk.authority_folder import MeshPaths, initialise
from tests.node.master.fleet import Fleet


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> MeshPaths:
    return initialise(tmp_path_factory.mktemp("acme") / "mesh", "acme", "master-1", "ada")


@pytest.fixture
def fleet(paths: MeshPaths, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(paths, tmp_path)
    yield fleet
    fleet.store.close()
