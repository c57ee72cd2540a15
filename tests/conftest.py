"""What holds for all tests: eight lanes, and no skips where nothing may be skipped.

Lanes: `make test` runs eight processes of tests. Those that start daemons and kill them mostly
wait, and run one after the other in each of three (tests/node/agent): what befalls one mesh, what
operators do to another, and those with a mesh of their own. Those of single parts with their
processes (the rest of tests/node) are the fourth. Those that only compute run beside, simulated
sites in one, large ones and drawn histories in two, all in what time the others leave.

MESH_NO_SKIP: where nothing may be skipped, a skipped test fails, with the reason for the skip.

`make test` skips what needs root or a server and says which command would make it run. `.ci/run`
sets MESH_NO_SKIP=1, so that a test that quietly stopped running is seen. Expected failures (xfail)
are not skips and stay what they are.
"""

import gc
import os
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

NO_SKIP = os.environ.get("MESH_NO_SKIP", "") not in ("", "0")

NODE = Path(__file__).parent / "node"
AGENT = NODE / "agent"
OPERATED = {
    "test_drain",
    "test_local_changes",
    "test_planned_restart",
    "test_sleep",
    "test_steering",
}
"""What operators do to the mesh that tests share: the lane that has a mesh of its own for it."""
OWN = {"test_admission", "test_alarms", "test_asked_daemons", "test_leases", "test_own_address"}
"""Those with daemons of their own."""
HISTORIES = Path(__file__).parent / "mesh" / "core" / "test_histories.py"
LARGE = re.compile(r"\[[25]0\b|fifty_nodes_told")
"""Of the names of tests: on a site of twenty or fifty nodes."""
SEED = re.compile(r"history\[(\d+)\]")
"""Of the names of tests: the seed of a drawn history."""
MEASURED = {
    f"test_{what}_in_a_site"
    for what in (
        *("collection", "copies", "cordon", "overlap"),
        *("parts", "quarantine", "removal", "runtime_gone"),
    )
}
"""The simulated sites that count for coverage: nothing smaller reaches what they are about."""
COMPUTING = ("computing", "sites", "even histories", "odd histories")
BESIDE = 10
"""The niceness of the lanes that only compute."""

OBJECTS = 50_000
"""New ones before the collector looks for cycles: a simulated site has many objects and few cycles,
and with Python's own 700 a sixth of the time went there."""

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which lane each test belongs to."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_lane(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lanes that are not kept apart disturb each other, and nothing else would say so."""
    if getattr(session.config.option, "loadgroup", False):
        names = {item.nodeid: f"@{_lane(item)}" for item in session.items}
        mixed = [name for name, lane in names.items() if not name.endswith(lane)]
        assert not mixed, f"pytest-xdist ignores groups: {len(mixed)} tests, {mixed[0]}"


def _lane(item: pytest.Item) -> str:
    if item.path == HISTORIES or LARGE.search(item.name):
        seed = SEED.search(item.name)
        return "odd histories" if seed and int(seed[1]) % 2 else "even histories"
    if AGENT in item.path.parents:
        lanes = {"operated": OPERATED, "own": OWN}
        return next((lane for lane, files in lanes.items() if item.path.stem in files), "daemons")
    if NODE in item.path.parents:
        return "parts"
    return "sites" if item.path.stem.endswith("in_a_site") else "computing"


@pytest.fixture(autouse=True)
def _measured(request: pytest.FixtureRequest) -> Iterator[None]:
    """What histories and most simulated sites reach is not counted as covered: a test that says
    what it checks must reach it too, and measuring would take longer than playing."""
    measuring, stem = sys.gettrace(), request.path.stem
    lane = _lane(request.node)
    is_site = lane == "sites" and stem not in MEASURED
    if is_site or lane.endswith("histories") or stem.endswith("in_histories"):
        sys.settrace(None)
    yield
    sys.settrace(measuring)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A process of a lane that computes gives way to daemons, and seldom looks for cycles."""
    beside = "PYTEST_XDIST_WORKER" in os.environ and _lane(item) in COMPUTING
    if beside and os.nice(0) < BESIDE:
        os.nice(BESIDE)
        gc.set_threshold(OBJECTS)
