"""What a daemon's process must not carry: each megabyte is paid on every computer of every site."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    command = [sys.executable, "-c", PROGRAM, role, str(tmp_path)]
    # Coverage in the process would bring what it writes with.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(command, capture_output=True, timeout=30.0, check=True, env=environment)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code in (1, 2)
    assert not {name.partition(".")[0] for name in modules} & set(foreign)
