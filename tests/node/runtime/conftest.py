"""Models and a runtime that serves one, for the tests of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protos.documents_pb2 import SERVING
from protos.runtime_pb2 import KnownModel
from tests.node.runtime.harness import RunningRuntime, phases, runtime_here
from tests.node.worker.models import Built, adder, build


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """y = x + 1."""
    folder = tmp_path_factory.mktemp("model")
    return build(folder / "built", adder(folder / "saved"))


@pytest.fixture(scope="module")
async def serving(
    tmp_path_factory: pytest.TempPathFactory, model: Built
) -> AsyncIterator[RunningRuntime]:
    """A runtime that serves `model` as "faces" and knows of "absent", which nobody serves."""
    folder: Path = tmp_path_factory.mktemp("serving")
    async with runtime_here(folder) as runtime:
        known = [
            KnownModel(workload="faces", model="tiny", model_version="1.0.0"),
            KnownModel(workload="absent", model="other", model_version="2.0.0"),
        ]
        await runtime.apply(model.spec, models=known)
        await runtime.until(lambda state: phases(state) == [SERVING])
        yield runtime
