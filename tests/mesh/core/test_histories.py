"""Drawn histories of a site: production cores, and everything that can go wrong around them.

One seed is one history, the same each time. `make sim SEEDS=1000` plays more of them, and
`MINUTES=1 make test` plays shorter ones.
"""

import os

import pytest

from tests.sim.play import play

NODES = 10
MINUTES = float(os.environ.get("MINUTES", "10"))
FIRST = int(os.environ.get("FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("SEEDS", "25")))


SMALL = ((1, 3), (1, 6), (2, 8), (3, 11), (5, 6))
"""Sites of few nodes, and seeds: most once broke a promise, and each takes half a second."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_promise_is_broken_in_a_drawn_history(seed: int) -> None:
    keeps_its_promises(seed, NODES, MINUTES)


@pytest.mark.parametrize(("nodes", "seed"), SMALL)
def test_no_promise_is_broken_in_a_small_site(nodes: int, seed: int) -> None:
    keeps_its_promises(seed, nodes, minutes=3)


def keeps_its_promises(seed: int, nodes: int, minutes: float) -> None:
    outcome = play(seed, nodes, minutes)
    again = f"python -m tests.sim --seed {seed} --nodes {nodes} --minutes {minutes:g} --trace"
    assert not outcome.broken, f"{outcome}\nreplay it: {again}"


def test_a_seed_is_one_history_and_another_seed_another() -> None:
    one, same, other = (play(seed, nodes=5, minutes=1.5) for seed in (1, 1, 2))
    assert one == same
    assert one.digest != other.digest
