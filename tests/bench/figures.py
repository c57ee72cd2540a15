"""What a measurement gives: a figure, with every value that was seen."""

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """What a figure should be, in its unit: at most `limit`, or at least."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        return f"{'>=' if self.at_least else '<='} {number(self.limit)} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `how` says how it was measured, in words that stand alone in a table."""

    key: str
    title: str
    unit: str
    values: tuple[float, ...]
    how: str
    asked: Asked | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median is as asked; None where nothing was asked."""
        return None if self.asked is None else self.asked.holds(self.median)

    def measured(self) -> str:
        """Median, and the range and number of runs where there are several."""
        text = f"{number(self.median)} {self.unit}".rstrip()
        if len(self.values) == 1:
            return text
        spread = f"{number(min(self.values))}-{number(max(self.values))}"
        return f"{text} ({spread}, {len(self.values)} runs)"

    def document(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
            "asked": self.asked.text(self.unit) if self.asked else None,
            "reached": self.reached,
            "how": self.how,
        }


@dataclass(slots=True)
class Series:
    """Values that are gathered one by one, each under the figure's key."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        self.values.setdefault(key, []).append(value)

    def figure(
        self, key: str, title: str, unit: str, how: str, asked: Asked | None = None
    ) -> Figure:
        """The figure of what was gathered under `key`. Raises KeyError if there is nothing."""
        return Figure(key, title, unit, tuple(self.values[key]), how, asked)


def number(value: float) -> str:
    """Three digits that say something, thousands parted."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
