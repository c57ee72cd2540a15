"""What a process must not carry: each megabyte is paid on every computer of every site."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.unseen import unseen

FOREIGN = ("typer", "rich", "pydantic", "openvino", "cv2", "numpy", "sqlite3")

# A data folder without keys is refused once everything was imported.
PROGRAM = """
import json, sys
from node.agent.main import main
code = main([sys.argv[1], "--data", sys.argv[2]])
print(json.dumps([code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    ("role", "foreign"),
    [
        pytest.param("node", FOREIGN, id="the agent"),
        pytest.param("runtime", ("typer", "rich", "pydantic", "openvino", "cv2"), id="the runtime"),
        pytest.param("master", ("typer", "rich", "openvino", "cv2"), id="the master"),
    ],
)
def test_a_daemon_imports_nothing_that_it_does_not_use(
    tmp_path: Path, role: str, foreign: tuple[str, ...]
) -> None:
    code, modules = output_of(PROGRAM, role, str(tmp_path))
    assert code in (1, 2)
    assert not {name.partition(".")[0] for name in modules} & set(foreign)


def test_a_worker_imports_of_openvino_what_it_uses() -> None:
    modules = output_of("import json, sys, node.worker.service; print(json.dumps([*sys.modules]))")
    assert "openvino" in modules
    assert not {"openvino.tools.ovc", "openvino_telemetry", "urllib.request"} & set(modules)


def output_of(program: str, *arguments: str) -> list[Any]:
    """What a Python of its own prints last. Coverage in it would bring what it writes with."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=30.0, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_what_is_unseen_cannot_be_imported_for_that_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "met_here_alone.py").write_text("found = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with unseen("met_here_alone"), pytest.raises(ImportError):
        importlib.import_module("met_here_alone")
    assert importlib.import_module("met_here_alone").found


def test_what_is_imported_already_stays_to_be_seen() -> None:
    with unseen("json"):
        assert importlib.import_module("json") is json
    assert sys.modules["json"] is json
