"""How many events a second one node's core handles on one core of this machine.

    python -m tests.bench_core

A site of five nodes runs in virtual time, with its registers, probes, journals and a runtime. All
events that one node's core was given are recorded, with their times; then the same core, made anew,
handles the same events again, and only that is timed.
"""

import time
from typing import Any

from mesh.events import Received
from mesh.exchange.frames import parse_frame
from tests.sim.site import Site

NODES = 5
VIRTUAL_S = 120


def record() -> tuple[Site, list[tuple[int, Any]]]:
    """A site that lived for a while, and the events of its first node since its start."""
    site = Site(nodes=NODES)
    node = site.nodes[0]
    events: list[tuple[int, Any]] = []
    feed = node.feed

    def recorded(event: Any) -> None:
        events.append((site.world.now_ms, event))
        feed(event)

    node.feed = recorded  # type: ignore[method-assign]
    site.settle()
    for minute in range(VIRTUAL_S // 20):
        site.nodes[1 + minute % 4].kill_worker("faces")
        site.world.run(20_000)
    return site, events


def measure() -> dict[str, float]:
    """Events a second over the recorded mix, and what the mix is made of."""
    site, events = record()
    node = site.nodes[0]
    node.disk.documents.clear()
    core = node._core()
    start = time.process_time()
    for now_ms, event in events:
        core.handle(event, now_ms)
    seconds = time.process_time() - start
    kinds: dict[str, float] = {}
    for _, event in events:
        name = type(event).__name__
        if isinstance(event, Received):
            name = f"frame {parse_frame(event.data).WhichOneof('kind')}"
        kinds[name] = kinds.get(name, 0) + 1
    return {"events": len(events), "events_per_second": len(events) / seconds, **kinds}


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name}: {value:,.0f}")
