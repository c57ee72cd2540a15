"""What is wrong with an input, where, and what to write instead.

All problems of an input are collected, so that a person mends them in one go; the input is taken
whole or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. Lines and columns count from 1; line 0: in no line of the input."""

    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

    def text(self, source: str = "") -> str:
        """One line for people, as compilers write it: `faces.yaml:7:3: spec.x: what; do this`."""
        place = f"{self.line}:{self.column}" if self.line else ""
        parts = [":".join(part for part in (source, place) if part), self.path, self.message]
        whole = ": ".join(part for part in parts if part)
        return f"{whole}; {self.suggestion}" if self.suggestion else whole


class ResourcesRefused(ValueError):
    """The input breaks a rule; nothing was changed. `problems` holds every one that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.text() for problem in self.problems))
