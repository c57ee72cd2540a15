"""The versions that a service was told to run, and which one it goes back to."""

from functools import reduce

import pytest

from mesh.desired.history import VERSIONS_MAX, History, Version, version_before, with_version


def told(*models: str) -> History:
    """The history after these were said, one state after another."""
    entries = [Version(model, counter) for counter, model in enumerate(models, 1)]
    return reduce(with_version, entries, ())


@pytest.mark.parametrize(
    ("models", "kept", "before"),
    [
        pytest.param([], [], None, id="nothing was said"),
        pytest.param(["m@1"], ["m@1"], None, id="the first has none before it"),
        pytest.param(["m@1", "m@2"], ["m@1", "m@2"], "m@1", id="the second goes back"),
        pytest.param(["m@1", "m@1", "m@2", "m@2"], ["m@1", "m@2"], "m@1", id="each once"),
        pytest.param(["m@1", "m@2", "m@1"], ["m@1", "m@2", "m@1"], "m@2", id="back and forth"),
    ],
)
def test_what_is_kept_and_what_was_before(
    models: list[str], kept: list[str], before: str | None
) -> None:
    history = told(*models)
    assert [one.model for one in history] == kept
    found = version_before(history)
    assert (found.model if found else None) == before


def test_what_is_said_again_keeps_the_state_that_said_it_first() -> None:
    assert [one.counter for one in told("m@1", "m@1", "m@2")] == [1, 3]


def test_the_newest_are_kept() -> None:
    history = told(*(f"m@{number}" for number in range(VERSIONS_MAX + 3)))
    assert [one.model for one in history] == [f"m@{n}" for n in range(3, VERSIONS_MAX + 3)]
