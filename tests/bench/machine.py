"""The machine that figures were measured on, and how busy it was."""

import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

BUSY_S = 1.0
"""Of CPU time, for the busy loop that says how fast one core is."""

STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    python: str
    packages: dict[str, str]
    commit: str
    when: str
    load_average: tuple[float, float, float]
    """1, 5 and 15 minutes, before anything was started."""
    busy_loop: float
    """Million turns of an empty Python loop in a second of CPU time: the yardstick for CPU."""

    def lines(self) -> list[str]:
        names = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        load = ", ".join(f"{one:.2f}" for one in self.load_average)
        return [
            f"{self.cpu}, {self.cores} cores, {self.memory_mib:,} MiB of memory",
            f"{self.kernel}; Python {self.python}; {names}",
            f"load average at the start {load}; "
            f"an empty Python loop makes {self.busy_loop:.1f} million turns in a CPU second",
            f"commit {self.commit}, {self.when}",
        ]

    def document(self) -> dict[str, object]:
        return asdict(self)


def look() -> Machine:
    """This machine, now."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_mib=psutil.virtual_memory().total >> 20,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: version(name).split("-")[0] for name in ("openvino", "grpcio", "protobuf")},
        commit=_commit(),
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        load_average=psutil.getloadavg(),
        busy_loop=busy_loop(),
    )


def busy_loop() -> float:
    """Million turns of an empty loop in a second of this process's CPU time."""
    began = time.process_time()
    turns = 0
    while (took := time.process_time() - began) < BUSY_S:
        for _ in range(STEPS):
            pass
        turns += STEPS
    return turns / took / 1e6


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, timeout=5.0, check=False
        )
    except OSError:
        return "unknown"
    return done.stdout.decode().strip() or "unknown"
