"""The one thing that the runtime reads of a manifest; what it cannot read is not stated."""

from pathlib import Path

from node.runtime.manifest import load_limit_ms
from tests.node.worker.models import Built


def test_the_limit_is_what_the_manifest_states(model: Built) -> None:
    assert load_limit_ms(str(model.manifest)) == 30_000


def test_a_manifest_that_cannot_be_read_states_none(model: Built, tmp_path: Path) -> None:
    assert load_limit_ms(str(tmp_path / "gone")) == 0
    (tmp_path / "cut").write_bytes(model.manifest.read_bytes()[:-7])
    assert load_limit_ms(str(tmp_path / "cut")) == 0
