"""`make bench`: prints the project's figures with the machine that they were measured on.

    python -m tests.bench [NAME ...] [--quick] [--json FILE] [--update-docs]

Everything runs on loopback, in folders that are removed, in processes that are ended.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from node.admin.demo.waiting import StepFailed
from tests.bench import apply, core, idle, inference, journal, machine, outage, report, transfer
from tests.bench.figures import Figure
from tests.bench.mesh import Mesh, running
from tests.bench.runs import FULL, QUICK, Runs

ALONE: dict[str, tuple[str, Callable[[Runs], list[Figure]]]] = {
    "core": ("The core", core.measure),
    "journal": ("The journal", journal.measure),
    "transfer": ("Chunks", transfer.measure),
}
"""What needs no mesh."""

IN_MESH: dict[str, tuple[str, Callable[[Mesh, Runs], list[Figure]]]] = {
    "apply": ("Apply, and the WAN", apply.measure),
    "idle": ("An idle site", idle.measure),
    "inference": ("Inference", inference.measure),
    "outage": ("Without a master, and back", outage.measure),
}
"""In this order: counters of bytes begin anew when a node starts again."""

Part = tuple[str, list[Figure]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what was named, or all. Exit code 1 if something did not work at all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all is ended then as well
    options = _options(arguments)
    console = Console()
    runs = QUICK if options.quick else FULL
    here = machine.look()
    for line in here.lines():
        console.print(line, highlight=False)
    began = time.monotonic()
    parts: list[Part] = []
    try:
        _measure(console, set(options.names), runs, parts)
    except StepFailed as error:
        console.print(f"failed: {error}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("ended; nothing that was started is left")
        return 130
    finally:
        took_s = time.monotonic() - began
        if options.json is not None:
            figures = [figure for _, found in parts for figure in found]
            report.write_json(options.json, here, figures, took_s)
    console.print(f"all of it took {took_s:.0f} s", highlight=False)
    if options.update_docs:
        report.write_page(here, parts)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*IN_MESH, *ALONE]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="few runs: does it still work?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values")
    parser.add_argument("--update-docs", action="store_true", help=f"write {report.PAGE.name}")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(names)}")
    if options.update_docs and (options.names or options.quick):
        parser.error("--update-docs writes the whole page: without names and --quick")
    options.names = options.names or names
    return options


def _measure(console: Console, names: set[str], runs: Runs, parts: list[Part]) -> None:
    """Measures, shows each part as soon as it is there, and adds it to `parts`."""

    def done(title: str, figures: list[Figure]) -> None:
        parts.append((title, figures))
        console.print(f"\n{title}", style="bold")
        report.show(console, figures)

    with ExitStack() as stack:
        if names & IN_MESH.keys():
            console.print("\nstarting a master and six nodes ...")
            mesh = stack.enter_context(running())
            for name, (title, in_mesh) in IN_MESH.items():
                if name in names:
                    done(title, in_mesh(mesh, runs))
    for name, (title, alone) in ALONE.items():
        if name in names:
            done(title, alone(runs))


if __name__ == "__main__":
    sys.exit(main())
