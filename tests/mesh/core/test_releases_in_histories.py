"""Drawn histories in which versions follow each other while all disks are short of room."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from mesh.core import collecting
from mesh.site.collection import Judgement, Known, judge
from mesh.site.local import RUNS
from tests.sim.checks.facts import Collected, Fact
from tests.sim.checks.keeping import TwoHolders
from tests.sim.draw import draw_releases
from tests.sim.play import Play

NODES, MINUTES = 5, 3
SEEDS = (1, 3)


class Watched(Play):
    """A history that counts what nodes let go of."""

    def __init__(self, seed: int) -> None:
        self.collected: list[Collected] = []
        super().__init__(draw_releases(seed, NODES, MINUTES))

    def watch(self, fact: Fact) -> None:
        super().watch(fact)
        if isinstance(fact, Collected):
            self.collected.append(fact)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_goes_breaks_no_promise(seed: int) -> None:
    play = Watched(seed)
    outcome = play.run()
    assert not outcome.broken, outcome
    assert len(play.collected) > 5, "nodes did let go of artifacts"


def test_a_node_that_keeps_only_what_it_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can see what it is there for."""

    def careless(known: Known, held: Collection[bytes]) -> Judgement:
        runs = {artifact: use for artifact, use in known.uses.items() if use == RUNS}
        return judge(replace(known, uses=runs, planned=frozenset(), good=frozenset()), held)

    monkeypatch.setattr(collecting, "judge", careless)
    outcome = Watched(seed=3).run()
    assert {broken.promise for broken in outcome.broken} == {TwoHolders.promise}
