"""How many events a second the core of a node decides, on one core of the machine.

A site of production cores lives in virtual time: it finds itself, takes a state, fetches a model
and serves. Only the time within `NodeCore.handle` counts: ticks, and frames with their decoding
and signatures. All cores live in one process here and one a process in a mesh, so what one of them
has checked must not spare another the check: outcomes are forgotten when another core's turn comes.
"""

import time
from collections.abc import Sequence
from typing import Any

from mesh import signed
from mesh.core.node import NodeCore
from tests.bench.figures import Asked, Figure, Series
from tests.bench.runs import Runs
from tests.sim.site import Site

EVENTS_PER_S = Asked(20_000, at_least=True)
SIZES = (5, 20)
FORM_MS = 2_000


class TimedCore:
    """A node's core that counts its events and the CPU time that it takes for them."""

    _last: "TimedCore | None" = None

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self.events = 0
        self.spent_s = 0.0

    def handle(self, event: Any, now_ms: int) -> Sequence[Any]:
        if TimedCore._last is not self:
            TimedCore._last = self
            signed._holds.cache_clear()
        began = time.thread_time()
        instructions = self._core.handle(event, now_ms)
        self.spent_s += time.thread_time() - began
        self.events += 1
        return instructions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def measure(runs: Runs) -> list[Figure]:
    """One site of each size; each of its nodes is a run."""
    series = Series()
    for size in SIZES:
        for core in _lived(size, int(runs.core_s * 1000)):
            series.add(f"core-{size}", core.events / core.spent_s)
    return [
        series.figure(
            f"core-{size}", f"core, site of {size}", "events/s",
            f"each node of a site in virtual time that forms, fetches and serves, then idles "
            f"({runs.core_s:.0f} s): events / CPU time within `NodeCore.handle`",
            EVENTS_PER_S if size == SIZES[0] else None,
        )
        for size in SIZES
    ]  # fmt: skip


def _lived(size: int, duration_ms: int) -> list[TimedCore]:
    site = Site(nodes=size)
    site.boot()
    cores = []
    for node in site.nodes:
        cores.append(TimedCore(node.core))
        node.core = cores[-1]
    site.world.run(FORM_MS)
    site.publish(replicas=2)
    site.world.run(duration_ms - FORM_MS)
    return cores
