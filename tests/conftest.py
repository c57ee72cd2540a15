"""What holds for all tests: two lanes, and no skips where nothing may be skipped.

Lanes: `make test` runs two processes of tests. Those that start daemons and kill them (tests/node)
run one after the other in the one, as they need a core for themselves; those that only compute run
beside them in the other.

MESH_NO_SKIP: where nothing may be skipped, a skipped test fails, with the reason for the skip.

`make test` skips what needs root or a server and says which command would make it run. `.ci/run`
sets MESH_NO_SKIP=1, so that a test that quietly stopped running is seen. Expected failures (xfail)
are not skips and stay what they are.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

NO_SKIP = os.environ.get("MESH_NO_SKIP", "") not in ("", "0")

NODE = Path(__file__).parent / "node"

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def _failed_if_skipped(report: R) -> R:
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        place, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
        report.outcome = "failed"
        report.longrepr = f"{place}:{line}: skipped, and MESH_NO_SKIP is set: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself, or is marked so."""
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file that skips itself."""
    return _failed_if_skipped((yield))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which lane each test belongs to."""
    for item in items:
        lane = "daemons" if NODE in item.path.parents else "computing"
        item.add_marker(pytest.mark.xdist_group(lane))
