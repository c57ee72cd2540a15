"""Where a small site has too little room for all that is asked for."""

from tests.sim.draw import Act, Story
from tests.sim.play import Play
from tests.sim.rough.plans import Service, Wanted

BUSY = Service(name="a-busy-one", least=1, most=4, spares=1, soak_ms=0)
CALM = Service(name="calm", least=2, most=2, spares=1, soak_ms=0)


def site_of_two(*acts: Act) -> Play:
    """Two nodes with room for three replicas, for 75 s."""
    cores = {"south-1": 1, "south-2": 2}
    return Play(Story(1, cores, (), Wanted((BUSY, CALM), pipeline=False), acts, 75_000))


def serving(play: Play) -> tuple[int, int]:
    """How many replicas of each of the two services serve."""
    runs = [key.workload for node in play.nodes.values() for key in node.runs]
    return runs.count(BUSY.name), runs.count(CALM.name)


def test_a_service_under_load_takes_nothing_from_the_minimum_of_another() -> None:
    busy = [Act(30_000, "load", 45_000, (name,), BUSY.name) for name in ("south-1", "south-2")]
    play = site_of_two(*busy)
    outcome = play.run()
    assert serving(play) == (1, 2), outcome
