"""When a child that ended may start again."""

import pytest

from node.runtime.backoff import Backoff
from node.runtime.limits import BACKOFF_S_MAX, HEALTHY_AFTER_S


def test_after_a_healthy_run_the_next_start_comes_at_once() -> None:
    assert Backoff().after_end(HEALTHY_AFTER_S, chance=1.0) == 0.0


def test_a_crash_loop_doubles_up_to_the_cap_and_stays_there() -> None:
    backoff = Backoff()
    delays = [backoff.after_end(0.0, chance=0.0) for _ in range(9)]
    assert delays == [0.5, 1, 2, 4, 8, 16, BACKOFF_S_MAX, BACKOFF_S_MAX, BACKOFF_S_MAX]


def test_a_loop_of_years_does_not_overflow() -> None:
    backoff = Backoff(failures=10**9)
    assert backoff.after_end(0.0, chance=0.0) == BACKOFF_S_MAX


def test_a_healthy_run_forgets_the_failures_before() -> None:
    backoff = Backoff(failures=5)
    backoff.after_end(HEALTHY_AFTER_S, chance=0.0)
    assert backoff.after_end(0.0, chance=0.0) == 0.5


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0], ids=["no luck", "some luck", "all luck"])
def test_jitter_only_ever_shortens(chance: float) -> None:
    delay = Backoff().after_end(0.0, chance)
    assert 0.375 <= delay <= 0.5
