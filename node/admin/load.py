"""The demo's independent inference client, as a process of its own.

    python -m node.admin.load --spec FILE

FILE is JSON: {"service": "faces", "golden": "FOLDER", "nodes": {"north-1": "127.0.0.1:7410"}},
and, if they are to differ from what stands below, "case", "outputs" (names), "rate",
"deadline_ms". Each node gets `rate` requests a second, due at fixed moments whether or not earlier
ones have been answered; each answer is compared with the golden one.

Commands on standard input, each answered by one JSON line on standard output:

    down NODE [AT_MS]     the node was killed: now, or at AT_MS of the system's monotonic clock.
                          Take the time just before the kill, kill, then say so.
    up NODE [ADDRESS]     it serves again, perhaps elsewhere; also adds a node
    report                the counts so far
    end                   (or the end of the input, or SIGTERM) the last report, and exit

The first line is {"event": "started"}; reports are {"event": "report" | "end", "seconds",
"client_late_ms_max", "total": {...}, "nodes": {NODE: {...}}} (load_tally.py tells what counts as
what). Exit code 2: the spec or the golden folder cannot be used.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from node.admin.command_lines import print_line, read_lines_into
from node.admin.load_golden import BadGolden, Golden, read_golden
from node.admin.load_sender import DEADLINE_MS, RATE_PER_S, Sender
from node.admin.load_tally import Tally

SPEC_BYTES_MAX = 64 * 1024

NODES_MAX = 64
"""More than a site's fifty. Worst case at 20 a second each: 1,280 requests a second."""

SUMS = ("requests", "ok", "failed", "wrong", "in_flight_at_kill", "not_counted")


def now_ms() -> float:
    """The system's monotonic clock, which other processes read alike."""
    return time.monotonic() * 1000


@dataclass(frozen=True, slots=True)
class Spec:
    """What the client is told to do."""

    service: str
    golden: Golden
    nodes: dict[str, str]
    rate: float = RATE_PER_S
    deadline_ms: float = DEADLINE_MS


def read_spec(path: Path) -> Spec:
    """Read a spec file; ValueError (BadGolden among them) or OSError says what is wrong."""
    text = path.read_bytes()
    if len(text) > SPEC_BYTES_MAX:
        raise ValueError(f"{path} is larger than {SPEC_BYTES_MAX} bytes")
    spec = json.loads(text)
    try:
        golden = read_golden(Path(spec["golden"]), spec.get("case", 0), spec.get("outputs"))
        rate, deadline_ms = spec.get("rate", RATE_PER_S), spec.get("deadline_ms", DEADLINE_MS)
        found = Spec(spec["service"], golden, dict(spec["nodes"]), float(rate), float(deadline_ms))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if found.rate <= 0 or found.deadline_ms <= 0 or len(found.nodes) > NODES_MAX:
        raise ValueError(f"{path}: rate and deadline_ms above 0, at most {NODES_MAX} nodes")
    return found


@dataclass(slots=True)
class Load:
    """All nodes under load."""

    spec: Spec
    start_ms: float = field(default_factory=now_ms)
    senders: dict[str, Sender] = field(default_factory=dict)

    def start(self) -> None:
        """Begin with every node of the spec, evenly spread over one period."""
        for number, (node, address) in enumerate(self.spec.nodes.items()):
            self._add(node, address, number / max(1, len(self.spec.nodes)))

    def _add(self, node: str, address: str, phase: float) -> None:
        body = self.spec.golden.request(self.spec.service)
        sender = Sender(
            address, body, self.spec.golden.fault, Tally(now_ms()),
            now_ms, 1000 / self.spec.rate, self.spec.deadline_ms,
        )  # fmt: skip
        sender.start(phase)
        self.senders[node] = sender

    async def down(self, node: str, at_ms: float) -> None:
        """Stop sending to a node that was killed at `at_ms`. KeyError: not known."""
        await self.senders[node].down(at_ms)

    async def raised(self, node: str, address: str | None) -> None:
        """Send to a node (again). KeyError: not known, and no address given."""
        if node in self.senders:
            await self.senders[node].raised(address)
        elif address is None or len(self.senders) >= NODES_MAX:
            raise KeyError(node)
        else:
            self._add(node, address, 0.0)

    async def stop(self) -> None:
        """Send no more; wait until what was sent has been answered or its deadline is over."""
        await asyncio.gather(*(sender.stop() for sender in self.senders.values()))

    def report(self, event: str) -> dict[str, Any]:
        """The counts as one document."""
        now = now_ms()
        nodes = {node: sender.tally.document(now) for node, sender in self.senders.items()}
        late = max((sender.late_ms_max for sender in self.senders.values()), default=0.0)
        return {
            "event": event,
            "seconds": round((now - self.start_ms) / 1000, 3),
            "client_late_ms_max": round(late, 1),
            "total": {name: sum(node[name] for node in nodes.values()) for name in SUMS},
            "nodes": nodes,
        }


async def obey(load: Load, words: Sequence[str]) -> dict[str, Any]:
    """Carry out one command; gives the answer's document."""
    try:
        match words:
            case ["down", node]:
                await load.down(node, now_ms())
            case ["down", node, at_ms]:
                await load.down(node, float(at_ms))
            case ["up", node]:
                await load.raised(node, None)
            case ["up", node, address]:
                await load.raised(node, address)
            case ["report"]:
                return load.report("report")
            case _:
                raise ValueError("commands are: down NODE [AT_MS], up NODE [ADDRESS], report, end")
    except KeyError as error:
        return {"event": "error", "error": f"no node {error} here; add it with: up NODE ADDRESS"}
    except ValueError as error:
        return {"event": "error", "error": str(error)}
    return {"event": words[0], "node": words[1]}


async def serve(spec: Spec) -> None:
    """Send until told to end, then print the last report."""
    asked: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.put_nowait, "end")
    load = Load(spec)
    load.start()
    print_line({"event": "started"})
    read_lines_into(asked, at_end="end")
    while (line := await asked.get()) != "end":
        print_line(await obey(load, line.split()))
    await load.stop()
    print_line(load.report("end"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one load client."""
    parser = argparse.ArgumentParser(prog="python -m node.admin.load", description=__doc__)
    parser.add_argument("--spec", type=Path, required=True, metavar="FILE")
    try:
        spec = read_spec(parser.parse_args(arguments).spec)
    except (OSError, BadGolden, ValueError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    uvloop.run(serve(spec))
    return 0


if __name__ == "__main__":
    sys.exit(main())
