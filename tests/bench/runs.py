"""How often and how long is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runs:
    """All measurements together take less than eight minutes with FULL, two with QUICK."""

    quick: bool
    applies: int
    artifacts: int
    outages: int
    outage_s: float
    """Without a master, before the WAN is back."""
    idle_turns: int
    idle_turn_s: float
    """A whole number of exchanges with the master, which come once a minute."""
    inference_rounds: int
    inference_requests: int
    """In a round, of each kind."""
    core_s: float
    """Virtual seconds of a site."""
    records: int
    transfers: int


FULL = Runs(
    quick=False,
    applies=7,
    artifacts=3,
    outages=4,
    outage_s=20.0,
    idle_turns=3,
    idle_turn_s=60.0,
    inference_rounds=5,
    inference_requests=100,
    core_s=60.0,
    records=500,
    transfers=5,
)

QUICK = Runs(
    quick=True,
    applies=2,
    artifacts=1,
    outages=1,
    outage_s=20.0,
    idle_turns=1,
    idle_turn_s=30.0,
    inference_rounds=2,
    inference_requests=40,
    core_s=20.0,
    records=100,
    transfers=2,
)
