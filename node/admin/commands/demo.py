"""`meshctl demo`: the main story on this machine, with what it measured."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from node.admin.command import finish
from node.admin.failures import Failure


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end, also on a terminal.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write what was measured as JSON.", show_default=False)
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep keys, data and logs here.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the example's model.", show_default=False)
    ] = None,
) -> None:
    """Shows two sites living through an outage: a master and five nodes, on this machine.

    Ends with 0 only if every step held. On a terminal it then stays up, to be tried out.
    """
    finish(lambda: _run(leave, report, keep, model))


def _run(leave: bool, report: Path | None, keep: Path | None, model: Path | None) -> None:
    from node.admin.demo.story import Wish, run  # the story needs OpenCV and psutil

    stay = sys.stdout.isatty() and not leave
    if not run(Wish(stay, report, keep, model)):
        raise Failure("a step did not hold; the last lines above say what was seen")
