"""The relay as a process: one stands for one site's way to the master.

    python -m node.admin.relay --listen 127.0.0.1:0=127.0.0.1:7400 [--listen ...]

prints one JSON line with the bound addresses once it listens, then one for each change and for
each line `counters` on its standard input: {"event": "listening" | "cut" | "restored" |
"counters" | "unknown command", "cut": bool, "ports": [{"listen": "HOST:PORT", and the counters}]}.
Signals: SIGUSR1 cuts, SIGUSR2 restores, SIGTERM ends.
"""

import argparse
import asyncio
import ipaddress
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from node.admin.command_lines import print_line, read_lines_into
from node.admin.tcp_relay import Forward, Relay

PORT_MAX = 65535

SIGNALS = {
    signal.SIGUSR1: "cut",
    signal.SIGUSR2: "restored",
    signal.SIGTERM: "end",
    signal.SIGINT: "end",
}
KNOWN = frozenset({"cut", "restored", "counters"})


def parse_forward(text: str) -> Forward:
    """Read `HOST:PORT=HOST:PORT`; ValueError says what is wrong with it."""
    listen, _, target = text.partition("=")
    return Forward(_address(listen, text), _address(target, text))


def _address(part: str, whole: str) -> tuple[str, int]:
    host, _, port = part.rpartition(":")
    try:
        ipaddress.IPv4Address(host)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= PORT_MAX:
        raise ValueError(f"--listen {whole}: expected IPV4:PORT=IPV4:PORT, got {part!r} in it")
    return host, number


def state(relay: Relay, event: str) -> dict[str, Any]:
    """One line of what the relay prints: the event, its ports, and what each has carried."""
    ports = [
        {"listen": f"{host}:{port}", **asdict(counters)}
        for (host, port), counters in zip(relay.addresses(), relay.counters(), strict=True)
    ]
    return {"event": event, "cut": relay.is_cut, "ports": ports}


async def serve(relay: Relay) -> None:
    """Run until SIGTERM or SIGINT, obeying signals and the lines on standard input."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[str] = asyncio.Queue()
    for number, event in SIGNALS.items():
        loop.add_signal_handler(number, asked.put_nowait, event)
    await relay.start()
    print_line(state(relay, "listening"))
    read_lines_into(asked)
    while (event := await asked.get()) != "end":
        if event == "cut":
            await relay.cut()
        elif event == "restored":
            await relay.restore()
        print_line(state(relay, event if event in KNOWN else "unknown command"))
    await relay.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one relay process; exit code 2 for bad input, 1 when a port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m node.admin.relay", description=__doc__)
    parser.add_argument("--listen", action="append", required=True, metavar="HOST:PORT=HOST:PORT")
    try:
        relay = Relay([parse_forward(text) for text in parser.parse_args(arguments).listen])
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(serve(relay))
    except OSError as error:
        print(f"relay: cannot listen: {error}. Give another port, or 0 for any.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
