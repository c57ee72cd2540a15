"""Drawn histories in which the roster changes while the site is split: nodes are enrolled, replaced
by the master under their IDs, and by boxes that an operator at the site admits."""

import pytest

from mesh.core.rosters import Rosters
from mesh.heads.revocations import Revoked
from protos.documents_pb2 import SiteBranch
from tests.sim.checks.exclusive import NeverTwice
from tests.sim.checks.shut_out import RevokedShutOut
from tests.sim.draw import draw_rosters
from tests.sim.play import Play

NODES, MINUTES = 5, 3
SEEDS = (1, 2)


def played(seed: int) -> Play:
    return Play(draw_rosters(seed, NODES, MINUTES))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_roster_that_changes_in_a_split_breaks_no_promise(seed: int) -> None:
    play = played(seed)
    outcome = play.run()
    assert not outcome.broken, outcome
    assert play.places, "nodes were replaced"


def test_nodes_that_count_by_their_own_roster_alone_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check can see what it is there for."""

    def use(self: Rosters, branch: SiteBranch, counter: int, generation: int) -> None:
        as_it_is(self, branch, counter, generation)
        self.earlier = ()

    as_it_is = Rosters.use
    monkeypatch.setattr(Rosters, "use", use)
    assert NeverTwice.promise in {one.promise for one in played(1).run().broken}


def test_nodes_that_shut_out_nobody_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Revoked, "is_revoked", lambda self, key: None)
    assert RevokedShutOut.promise in {one.promise for one in played(1).run().broken}
