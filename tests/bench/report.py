"""What is printed and written: a table, JSON for programs, the page for people."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure
from tests.bench.machine import Machine
from tests.bench.reasons import REASONS

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
NOT_EXPLAINED = "not reached; nobody has found out why yet"

HEAD = """# Benchmarks

`make bench` measures these figures with real processes on one machine (the core alone in virtual
time) and prints them; `python -m tests.bench --update-docs` also writes this page. Nothing here is
a test: a figure that was asked for and is not reached is marked, with the reason. Each figure is
the median, then the smallest and the largest value and how many there were.
"""


def show(console: Console, figures: Sequence[Figure]) -> None:
    """A table on the terminal; how each was measured stands on the page."""
    table = Table("figure", "asked", "measured", "")
    for one in figures:
        asked = one.asked.text(one.unit) if one.asked else ""
        mark = {True: "yes", False: "NO", None: ""}[one.reached]
        table.add_row(one.title, asked, one.measured(), mark)
    console.print(table)


def write_json(path: Path, machine: Machine, figures: Sequence[Figure], took_s: float) -> None:
    document = {
        "machine": machine.document(),
        "took_s": round(took_s, 1),
        "figures": {one.key: one.document() for one in figures},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def write_page(machine: Machine, parts: Sequence[tuple[str, Sequence[Figure]]]) -> None:
    """docs/benchmarks.md, a table for each part."""
    lines = [HEAD, *(f"- {line}" for line in machine.lines()), ""]
    for title, figures in parts:
        lines += [f"## {title}", "", "| figure | asked | measured | how | if not reached: why |"]
        lines.append("| --- | --- | --- | --- | --- |")
        lines += [_row(one) for one in figures]
        lines.append("")
    PAGE.write_text("\n".join(lines))


def _row(one: Figure) -> str:
    asked = one.asked.text(one.unit) if one.asked else ""
    why = REASONS.get(one.key, NOT_EXPLAINED) if one.reached is False else ""
    return f"| {one.title} | {asked} | {one.measured()} | {one.how} | {why} |"
