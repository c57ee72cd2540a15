"""Waits double, are capped, and only then drawn from zero to the cap."""

import random

from node.agent.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_cap_and_starts_again() -> None:
    backoff = Backoff(0.5, 3.0, draw=lambda low, high: high)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_the_jitter_comes_after_the_cap_and_is_full() -> None:
    backoff = Backoff(0.5, 3.0, draw=random.Random(7).uniform)
    for _ in range(10):
        backoff.next_s()
    waits = [backoff.next_s() for _ in range(1000)]
    assert max(waits) <= 3.0
    assert min(waits) < 0.1
    assert max(waits) > 2.9
    assert 1.3 < sum(waits) / len(waits) < 1.7


def test_a_cap_below_the_first_wait_holds_from_the_first() -> None:
    backoff = Backoff(0.5, 0.1, draw=lambda low, high: high)
    assert [backoff.next_s(), backoff.next_s()] == [0.1, 0.1]
    backoff.reset()
    assert backoff.next_s() == 0.1
