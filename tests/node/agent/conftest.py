"""One mesh of real processes for the whole session: a master and three nodes, two replicas."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.agent.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The mesh. A short path: a Unix socket's may have 107 bytes."""
    # Who is told to end, ends the mesh too.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="lab"))
    made = Lab(folder)
    try:
        made.make_mesh()
        for name in ("a", "b", "c"):
            made.add_node(name)
            made.start(name, wait=False)
        for name in made.nodes:
            made.wait_ready(name)
        made.apply(replicas=2)
        made.wait_serving("a", 2)
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)
