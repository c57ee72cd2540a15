"""What a check is: it sees facts, and says when a promise was broken."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tests.sim.checks.facts import Fact

BROKEN_MAX = 5
"""Of one promise in one history: more say nothing new."""


@dataclass(frozen=True)
class Broken:
    """A promise that did not hold."""

    at_ms: int
    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:.3f} s: {self.promise}: {self.what}"


class Check(ABC):
    """Watches over one promise, which is named in docs/ALGORITHM.md."""

    promise = ""

    def __init__(self) -> None:
        self.broken: list[Broken] = []

    @abstractmethod
    def saw(self, fact: Fact) -> None:
        """Takes one fact. Facts come in the order in which they happened."""

    def breaks(self, at_ms: int, what: str) -> None:
        """Notes that the promise did not hold."""
        if len(self.broken) < BROKEN_MAX:
            self.broken.append(Broken(at_ms, self.promise, what))
