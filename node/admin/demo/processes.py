"""The demo's processes: started with a log each, found by the operating system, stopped for sure.

A daemon's processes are found as a user would find them: `meshd` whose `--data` is the daemon's
folder, and all its descendants. A process is the same one only if its ID and its start time
are the same.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from node.admin.demo.waiting import StepFailed

STOP_TIMEOUT_S = 6.0
"""For an orderly end; then SIGKILL."""

OPERATOR_NICENESS = 10
"""Of the operator's commands, 0 to 19; on a machine with cores to spare it changes nothing."""

LOG_LINES = 15
"""Of a process's log, shown as evidence."""


@dataclass(frozen=True, slots=True, order=True)
class Incarnation:
    """One process, told from a later one with the same ID."""

    pid: int
    started: float
    what: str


def program(name: str) -> list[str]:
    """The command of an installed program of the project."""
    return [str(Path(sys.executable).parent / name)]


class Processes:
    """All processes that the demo started, below one folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, **environment}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], pipes: bool = False
    ) -> subprocess.Popen[bytes]:
        """Starts a process in a session of its own; its stderr goes to its log.

        `pipes`: its stdin and stdout are the demo's to talk through; else stdout is logged too.
        """
        with self.log(name).open("ab") as log:
            started = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        self._started[name] = started
        return started

    def run(
        self, command: Sequence[str], timeout_s: float, stdin: bytes = b""
    ) -> tuple[int, str, str]:
        """Runs a command to its end: exit code, stdout, stderr. Raises StepFailed if it hangs.

        It yields to the daemons: in life the operator's computer is not one of the site's.
        """
        with subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
        ) as started:
            os.setpriority(os.PRIO_PROCESS, started.pid, OPERATOR_NICENESS)
            try:
                out, err = started.communicate(stdin, timeout_s)
            except subprocess.TimeoutExpired:
                started.kill()
                text = f"{' '.join(command)} did not end within {timeout_s:.0f} s"
                raise StepFailed(text) from None
        return started.returncode, out.decode(), err.decode()

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def check_running(self, name: str) -> None:
        """Raises StepFailed with the end of its log if the process has ended."""
        code = self._started[name].poll()
        if code is not None:
            raise StepFailed(f"{name} ended with {code}:\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        """The end of a process's log."""
        try:
            lines = self.log(name).read_text(errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-LOG_LINES:])

    def stop_all(self) -> None:
        """Ends everything below the folder, asked first, forced after a while; closes pipes."""
        ending = living([*of_folder(self._folder), *self._own()])
        for process in ending:
            _signal(process, signal.SIGTERM)
        _, left = psutil.wait_procs(ending, STOP_TIMEOUT_S)
        left += living(of_folder(self._folder))
        for process in left:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(left, STOP_TIMEOUT_S)
        for started in self._started.values():
            started.poll()
            for stream in (started.stdin, started.stdout):
                if stream is not None:
                    with suppress(OSError):  # what was not read any more
                        stream.close()

    def _own(self) -> list[psutil.Process]:
        """What was started here and has not ended."""
        running = [one.pid for one in self._started.values() if one.poll() is None]
        return [psutil.Process(pid) for pid in running]


def of_folder(folder: Path) -> list[psutil.Process]:
    """The daemons whose data lie in `folder` or below, and their descendants."""
    found: dict[int, psutil.Process] = {}
    text = str(folder)
    for process in psutil.process_iter():
        try:
            if _is_daemon(process.cmdline(), text):
                found[process.pid] = process
                found.update((child.pid, child) for child in process.children(recursive=True))
        except psutil.Error:
            continue
    return [found[pid] for pid in sorted(found)]


def census(folder: Path) -> set[Incarnation]:
    """The processes of a node, as incarnations."""
    found = set()
    for process in of_folder(folder):
        try:
            found.add(Incarnation(process.pid, process.create_time(), _what(process.cmdline())))
        except psutil.Error:
            continue
    return found


def kill(folder: Path) -> float:
    """SIGKILL to all processes of a node at once; the monotonic time just before."""
    victims = of_folder(folder)
    at = time.monotonic()
    for process in victims:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(victims, STOP_TIMEOUT_S)
    left = living(of_folder(folder))
    for process in left:
        _signal(process, signal.SIGKILL)
    return at


def connections_to(address: str, folders: Iterable[Path]) -> list[str]:
    """The connections to `address` that processes of these folders hold, said in words."""
    host, _, port = address.rpartition(":")
    found = []
    for folder in folders:
        for process in of_folder(folder):
            with suppress(psutil.Error):
                found += [
                    f"{folder.name}, process {process.pid}"
                    for one in process.net_connections("tcp")
                    if one.raddr and (one.raddr.ip, one.raddr.port) == (host, int(port))
                ]
    return found


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def _is_daemon(command: Sequence[str], folder: str) -> bool:
    program_name = {Path(one).name for one in command[:3]}
    if "--data" not in command[:-1] or not program_name & {"meshd", "node.agent.main"}:
        return False
    data = command[command.index("--data") + 1]
    return data == folder or data.startswith(folder + "/")


def _what(command: Sequence[str]) -> str:
    """agent, runtime, worker, pipeline, or what else it is."""
    kinds = {
        "node.worker": "worker",
        "node.vision": "pipeline",
        "runtime": "runtime",
        "node": "agent",
        "master": "master",
    }
    found = (what for mark, what in kinds.items() if mark in command)
    return next(found, " ".join(command)[:60])


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return
