"""Sizes and durations: what is read, what is written, what is refused with which advice."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.desired.units import (
    UnitRefused,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("1B", 1), ("3KiB", 3072), ("64MiB", 64 * 1024**2), ("2 GiB", 2 * 1024**3)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0ms", 0),
        ("5ms", 5),
        ("30s", 30_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ],
)
def test_durations(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    ("written", "message", "advice"),
    [
        pytest.param("64MB", "'MB' is no unit", "did you mean 64MiB?", id="decimal unit"),
        pytest.param("64Mi", "'Mi' is no unit", "did you mean 64MiB?", id="kubernetes unit"),
        pytest.param("7k", "'k' is no unit", "did you mean 7KiB?", id="short unit"),
        pytest.param("7bytes", "'bytes' is no unit", "did you mean 7B?", id="word"),
        pytest.param("7apples", "no unit of a size", "use one of B, KiB", id="another thing"),
        pytest.param("64", "64 has no unit", "did you mean 64KiB or 64MiB?", id="no unit"),
        pytest.param(64, "64 has no unit", "did you mean 64KiB or 64MiB?", id="number"),
        pytest.param("1.5GiB", "'1.5GiB' is no size", "a whole number", id="fraction"),
        pytest.param("-1B", "'-1B' is no size", "a whole number", id="negative"),
        pytest.param("9" * 99 + "B", "is no size", "a whole number", id="too long"),
        pytest.param(True, "this is no size", "write it like 64MiB", id="truth"),
        pytest.param(None, "this is no size", "write it like 64MiB", id="nothing"),
    ],
)
def test_wrong_sizes(written: object, message: str, advice: str) -> None:
    with pytest.raises(UnitRefused) as refused:
        parse_size(written)
    assert message in str(refused.value)
    assert advice in refused.value.suggestion


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("30sec", "did you mean 30s?"),
        ("5min", "did you mean 5m?"),
        ("5milliseconds", "did you mean 5m"),
        ("50msec", "did you mean 50ms?"),
        ("2hours", "did you mean 2h?"),
        ("2Days", "did you mean 2d?"),
        ("2weeks", "use one of ms, s, m, h, d"),
        ("200", "did you mean 200ms or 200s?"),
    ],
)
def test_wrong_durations(written: str, advice: str) -> None:
    with pytest.raises(UnitRefused) as refused:
        parse_duration(written)
    assert advice in refused.value.suggestion


@given(st.integers(0, 10**14))
def test_what_is_written_is_read_back(number: int) -> None:
    assert parse_size(format_size(number)) == number
    assert parse_duration(format_duration(number)) == number


def test_the_largest_exact_unit_is_written() -> None:
    assert format_size(0) == "0B"
    assert format_size(1536) == "1536B"
    assert format_size(64 * 1024**2) == "64MiB"
    assert format_duration(90_000) == "90s"
    assert format_duration(120_000) == "2m"


def test_a_node_can_read_units_without_pydantic() -> None:
    code = "import sys, mesh.desired.units; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
