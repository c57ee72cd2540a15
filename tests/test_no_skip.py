"""MESH_NO_SKIP turns skips into failures, and leaves all else alone: on pytest itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"
TESTS = """
import pytest

def test_passes(): pass

def test_skips_itself(): pytest.skip("as root: do this")

@pytest.mark.skipif(True, reason="no such server")
def test_is_marked(): pass

@pytest.mark.xfail(strict=True)
def test_is_expected_to_fail(): raise ValueError

@pytest.fixture
def server(): pytest.skip("start the server")

def test_whose_fixture_skips(server): pass
"""
WHOLE_FILE = 'import pytest; pytest.importorskip("no_such_library")\n'


def run(folder: Path, no_skip: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_file.py").write_text(WHOLE_FILE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "--continue-on-"
         "collection-errors", "--rootdir", str(folder), "-c", os.devnull, str(folder)],
        env={**os.environ, "MESH_NO_SKIP": no_skip},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("no_skip", ["", "0"])
def test_without_it_skips_are_skips(tmp_path: Path, no_skip: str) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in run(tmp_path, no_skip)


def test_with_it_skips_fail_with_their_reason(tmp_path: Path) -> None:
    output = run(tmp_path, "1")
    assert "1 passed, 1 xfailed" in output
    assert "skipped" not in output.splitlines()[-1]
    for reason in ("as root: do this", "no such server", "start the server", "no_such_library"):
        assert reason in output
