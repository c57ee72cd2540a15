"""A child process: started on a leash, watched by a pidfd, killed with its whole group.

Started by fork and exec of another program (never a fork that runs on in Python), in a session of
its own, so that a signal to its group reaches whatever it may have started.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from node.runtime.limits import TERMINATE_S_MAX

LEASH = str(Path(__file__).with_name("leash.py"))

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "OPENVINO_TELEMETRY": "0",
}
"""Libraries that would start a thread for every core, each with a stack that counts as data."""


class Child:
    """One running child process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.started_unix_ms = time.time_ns() // 1_000_000
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to the child, where one was asked for."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from the child, where one was asked for."""
        assert self._process.stdout is not None
        return self._process.stdout

    async def end(self) -> int:
        """Asks the child to end, waits, kills its group; its exit status (negative: a signal)."""
        self._signal(signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=TERMINATE_S_MAX)
        return await self.kill()

    async def finish(self) -> int:
        """Waits for a child that is ending by itself, kills its group; its exit status."""
        await asyncio.wait({self.ended}, timeout=TERMINATE_S_MAX)
        return await self.kill()

    async def kill(self) -> int:
        """Kills the child's whole group; its exit status (negative: a signal)."""
        self._signal(signal.SIGKILL)
        return await asyncio.shield(self.ended)

    def _signal(self, number: signal.Signals) -> None:
        # A leader that was reaped no longer holds its number: it may be another's by now.
        if self.ended.done():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _reap(self) -> None:
        # While it is a zombie it still holds the group's number: the rest of the group goes first.
        self._signal(signal.SIGKILL)
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.ended.set_result(self._process.wait())


def start(
    module: str,
    arguments: Sequence[str],
    *,
    data_bytes: int,
    descriptors: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    pipes: bool = False,
) -> Child:
    """Starts `python -m module arguments` on the leash. Raises OSError if it cannot be started.

    `data_bytes` caps its data segment; `descriptors` are handed over; with `pipes` its stdin and
    stdout are connected to the runtime, else to nothing.
    """
    leash = [sys.executable, "-I", "-S", LEASH, str(os.getpid()), str(data_bytes)]
    stream = subprocess.PIPE if pipes else subprocess.DEVNULL
    process = subprocess.Popen(
        [*leash, module, *arguments],
        stdin=stream,
        stdout=stream,
        pass_fds=tuple(descriptors),
        env={**os.environ, **SINGLE_THREADED, **(environment or {})},
        start_new_session=True,
    )
    return Child(process)


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"ended with status {status}"
