"""The demo's story with real processes: a step that does not hold, a story that is ended early."""

import json
import os
import signal
import subprocess
from pathlib import Path

from typer.testing import CliRunner, Result

from node.admin.demo.processes import of_folder, program
from node.admin.main import app

MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Makes coverage measure a process that is started: a demo's fourteen would only be slow."""

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "face-detector"


def demo(*options: str | Path) -> Result:
    """`meshctl demo` in this process, which is no terminal."""
    env = {"COLUMNS": "200", MEASURED: None}
    return CliRunner().invoke(app, ["demo", *map(str, options)], env=env)


def test_a_step_that_does_not_hold_ends_the_story_with_its_evidence(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "golden").symlink_to(EXAMPLE / "golden")  # and nothing else: there is no model
    keep, report = tmp_path / "kept", tmp_path / "report.json"
    done = demo("--keep", keep, "--report", report, "--model", model)
    told = json.loads(report.read_text())
    assert done.exit_code == 1
    assert [step["ok"] for step in told["steps"]] == [True, True, False]
    assert told["ok"] is False
    (evidence,) = told["steps"][-1]["notes"]
    assert f"FAILED: meshctl model push {model}" in evidence
    assert "ended with 2" in evidence
    assert "holds no model" in evidence
    assert "✗ meshctl model push" in done.output
    assert f"data and logs stay in {keep}" in done.output
    assert "a step did not hold" in done.output
    assert of_folder(keep) == []
    assert (keep / "logs" / "north-a.log").read_text(), "the evidence stays"


def test_a_story_that_is_told_to_end_leaves_nothing_running(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    command = [*program("meshctl"), "demo", "--keep", str(keep)]
    pipe = subprocess.PIPE
    env = {name: value for name, value in os.environ.items() if name != MEASURED}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        for line in started.stdout:
            if "a master, and one relay" in line:
                break
        running = of_folder(keep)
        started.send_signal(signal.SIGTERM)
        rest, error = started.stdout.read(), started.stderr.read()
    assert running
    assert "stopping ..." in rest
    assert "✗" not in rest
    assert (started.returncode, error) == (1, "error: ended before the story was told\n")
    assert of_folder(keep) == []


def test_what_cannot_begin_is_said_before_anything_is_started(tmp_path: Path) -> None:
    no_example = demo("--exit", "--model", tmp_path)
    assert (no_example.exit_code, "not the example's folder" in no_example.output) == (2, True)
    (tmp_path / "mine").touch()
    not_empty = demo("--exit", "--keep", tmp_path)
    assert (not_empty.exit_code, "is not empty: give a new folder" in not_empty.output) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]
