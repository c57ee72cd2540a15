"""Histories in which a master signs what no node may go by, while nodes start anew and die."""

from collections.abc import Mapping
from typing import Any

import pytest

from mesh.core.in_force import InForce, Order, Proof
from tests.sim.checks.facts import BadStateSigned, Fact
from tests.sim.checks.refused import RefusedStates
from tests.sim.draw import Act, Story, draw
from tests.sim.play import Play
from tests.sim.rough.bad_states import HOWS

NODES, MINUTES = 4, 2
ALONE_MS, AGAIN_MS, ENDS_MS = 30_000, 60_000, 110_000


def story(how: str) -> Story:
    """Such a state alone at a site at rest; and once more, while two nodes start anew by their
    disks, one of them with its machine."""
    acts = (
        Act(ALONE_MS, "bad state", 20_000, (), how),
        Act(AGAIN_MS, "bad state", 20_000, (), how),
        Act(AGAIN_MS + 5_000, "agent", 1_000, ("south-1",)),
        Act(AGAIN_MS + 9_000, "power", 4_000, ("south-2",)),
    )
    drawn = draw(1, NODES, MINUTES)
    return Story(drawn.seed, drawn.cores, drawn.cameras, drawn.wanted, acts, ENDS_MS)


class Watched(Play):
    """A history that counts such states."""

    def __init__(self, how: str) -> None:
        self.bad = 0
        super().__init__(story(how))

    def watch(self, fact: Fact) -> None:
        super().watch(fact)
        self.bad += isinstance(fact, BadStateSigned)


@pytest.mark.parametrize("how", HOWS)
def test_a_state_that_nodes_refuse_moves_nothing(how: str) -> None:
    play = Watched(how)
    outcome = play.run()
    assert not outcome.broken, outcome
    assert (play.bad, outcome.alone) == (2, 2), "the first of each is judged"


def promises(how: str) -> set[str]:
    return {broken.promise for broken in Watched(how).run().broken}


def test_a_node_that_takes_what_it_cannot_check_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can see what it is there for."""

    def use(self: InForce, contents: Mapping[str, bytes], order: Order, proof: Proof) -> bool:
        taken = checked(self, contents, order, proof)
        if not taken and self.counter:
            self.generation, self.counter = order
        return taken

    checked = InForce.use
    monkeypatch.setattr(InForce, "use", use)
    assert RefusedStates.promise in promises("replicas")


def test_a_node_that_starts_anew_by_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = InForce.start

    def start(self: InForce, _: bytes, *applied: Any) -> None:
        begin(self, b"", *applied)

    monkeypatch.setattr(InForce, "start", start)
    assert RefusedStates.promise in promises("format")
