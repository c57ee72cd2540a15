"""Where a small site has too little room for all that is asked for."""

from tests.sim.draw import Act, Story
from tests.sim.play import Play
from tests.sim.rough.plans import Service, Wanted

BUSY = Service(name="a-busy-one", least=1, most=4, spares=1, soak_ms=0)
SLEEPER = Service(name="sleeper", least=0, most=1, spares=1, soak_ms=0)
CALM = Service(name="calm", least=2, most=2, spares=1, soak_ms=0)


def site_of_two(room: int, services: tuple[Service, ...], *acts: Act) -> Play:
    """Two nodes with room for so many replicas, for 75 s."""
    cores = {"south-1": 1, "south-2": room - 1}
    return Play(Story(1, cores, (), Wanted(services, pipeline=False), acts, 75_000))


def serving(play: Play, service: Service) -> int:
    """How many replicas of the service serve."""
    runs = [key.workload for node in play.nodes.values() for key in node.runs]
    return runs.count(service.name)


def test_a_service_under_load_takes_nothing_from_the_minimum_of_another() -> None:
    busy = [Act(30_000, "load", 45_000, (name,), BUSY.name) for name in ("south-1", "south-2")]
    play = site_of_two(3, (BUSY, CALM), *busy)
    outcome = play.run()
    assert (serving(play, BUSY), serving(play, CALM)) == (1, 2), outcome


def test_what_is_awake_serves_though_the_minimum_of_another_fills_the_site() -> None:
    play = site_of_two(2, (CALM, SLEEPER))
    outcome = play.run()
    started = {name for node in play.nodes.values() for _, name in node.starts}
    assert SLEEPER.name in started, "it is awake until it was tried"
    assert (serving(play, CALM), serving(play, SLEEPER)) == (2, 0), "then it sleeps"
    assert not outcome.broken, outcome
