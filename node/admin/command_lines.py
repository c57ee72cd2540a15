"""Commands as lines on standard input, answers as JSON lines on standard output.

The demo's helper processes (relay, load) are driven this way. A thread reads, because standard
input may be a pipe, a terminal or /dev/null, and an event loop cannot wait for each of them.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

READ_BYTES = 4096

LINE_BYTES_MAX = 4096
"""A longer line is no command of ours: reading ends. Worst case held: this and READ_BYTES."""


def print_line(document: dict[str, Any]) -> None:
    """Write one JSON line at once; the reader gone is no error (it asked for nothing more)."""
    try:
        sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again at exit: give it somewhere to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_lines_into(queue: asyncio.Queue[str], at_end: str | None = None) -> None:
    """Put each line of standard input into the queue, and `at_end`, if given, when it ends.

    Call it inside the running loop. The thread never holds up the process's end.
    """
    loop = asyncio.get_running_loop()

    def put(line: str) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        try:
            _read(put)
            if at_end is not None:
                put(at_end)
        except (OSError, RuntimeError):
            return  # the input broke, or the loop has ended: nobody listens any more

    threading.Thread(target=read, name="commands", daemon=True).start()


def _read(put: Callable[[str], None]) -> None:
    # os.read and not sys.stdin: a daemon thread that holds sys.stdin's lock at exit is fatal.
    rest = b""
    while len(rest) <= LINE_BYTES_MAX and (data := os.read(0, READ_BYTES)):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            put(line.decode(errors="replace").strip())
