"""What the demo tells on the terminal, and what it writes for programs."""

import json
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from node.admin.demo.waiting import StepFailed


@dataclass(slots=True)
class Step:
    name: str
    ok: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


class Narrator:
    """Tells the story step by step; `figures` and `steps` are what `--report` writes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[Step] = []
        self.figures: dict[str, Any] = {}
        self._began = time.monotonic()

    def step(self, title: str, work: Callable[[], None]) -> None:
        """Does one step. Whatever it raises ends the story, told as that step's failure."""
        current = Step(title)
        self.steps.append(current)
        self.console.print()
        self.console.print(Text(f"{len(self.steps)}. {title}", style="bold cyan"), soft_wrap=True)
        began = time.monotonic()
        try:
            work()
            current.ok = True
        except Exception as error:
            text = (
                str(error) if isinstance(error, StepFailed) else f"{type(error).__name__}: {error}"
            )
            current.notes.append(f"FAILED: {text}")
            self.console.print(Text("  ✗ ", style="bold red") + Text(text), soft_wrap=True)
            raise
        finally:
            current.seconds = round(time.monotonic() - began, 2)

    def tell(self, text: str) -> None:
        """Something that holds."""
        self.steps[-1].notes.append(text)
        self.console.print(Text("  ✓ ", style="green") + Text(text), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Something to know, that is no check."""
        self.console.print(Text(f"    {text}", style="dim"), soft_wrap=True)

    def measured(self, name: str, value: float | int, text: str) -> None:
        """A figure for the report, and the sentence that tells it."""
        self.figures[name] = value
        self.tell(text)

    def summary(self) -> None:
        """The figures as a table."""
        self.console.print()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("MEASURED")
        table.add_column("VALUE", justify="right")
        for name, value in sorted(self.figures.items()):
            table.add_row(name, _shown(value))
        self.console.print(table)

    def document(self, ok: bool) -> dict[str, Any]:
        """The report: figures, steps, and whether all of them held."""
        steps = [
            {"name": one.name, "ok": one.ok, "seconds": one.seconds, "notes": one.notes}
            for one in self.steps
        ]
        seconds = round(time.monotonic() - self._began, 1)
        return {"ok": ok, "seconds": seconds, **self.figures, "steps": steps}

    def write(self, path: Path, ok: bool) -> None:
        """Writes the report as JSON."""
        path.write_text(json.dumps(self.document(ok), indent=2) + "\n", encoding="utf-8")


def counts(values: dict[str, Any]) -> str:
    """Values by name, as they are told: `south-a 1, south-b 2`."""
    return ", ".join(f"{name} {values[name]}" for name in sorted(values))


def cut(text: str, characters: int) -> str:
    """The text if it is not longer, or else its beginning in whole words, and a mark."""
    return textwrap.shorten(text, characters, placeholder=" …")


def _shown(value: object) -> str:
    return counts(value) if isinstance(value, dict) else str(value)
