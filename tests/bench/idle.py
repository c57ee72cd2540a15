"""What a site costs that serves and is asked nothing: memory, CPU, bytes over the WAN."""

import time

from node.admin.demo.layout import NodePlan
from tests.bench import looks
from tests.bench.figures import Asked, Figure, Series
from tests.bench.mesh import FIVE, SITES, Mesh
from tests.bench.runs import Runs

SETTLE_S = 15.0
"""From the last change until the site counts as idle."""

AGENT_RSS_MIB = Asked(80)
AGENT_CPU_PERCENT = Asked(1)
NO_WORKER_MIB = Asked(140)
START_S = Asked(2)
WAN_BYTES_PER_S = Asked(31)


def measure(mesh: Mesh, runs: Runs) -> list[Figure]:
    """Looks in turns: nothing asks the nodes anything while a turn lasts."""
    time.sleep(SETTLE_S if not runs.quick else SETTLE_S / 3)
    series = Series()
    for _ in range(runs.idle_turns):
        _turn(mesh, series, runs.idle_turn_s)
    for took in mesh.ready_s:
        series.add("start", took)
    window = f"{runs.idle_turns} x {runs.idle_turn_s:.0f} s"
    return [*_memory_figures(series), *_cost_figures(series, window)]


def _turn(mesh: Mesh, series: Series, turn_s: float) -> None:
    nodes = mesh.layout.of_site(FIVE)
    pids = {node.name: _pids(node) for node in nodes}
    payload, carried = looks.wan_payload(mesh, SITES[FIVE]), looks.carried(mesh, FIVE)
    began = time.monotonic()
    before = {pid: looks.cpu_s(pid) for pair in pids.values() for pid in pair}
    time.sleep(turn_s)
    after = {pid: looks.cpu_s(pid) for pid in before}
    took = time.monotonic() - began
    series.add("idle-relay", (looks.carried(mesh, FIVE) - carried) / took)
    series.add("payload", (looks.wan_payload(mesh, SITES[FIVE]) - payload) / took)
    for node in nodes:
        agent, runtime = pids[node.name]
        series.add("agent-cpu", 100 * (after[agent] - before[agent]) / took)
        series.add("runtime-cpu", 100 * (after[runtime] - before[runtime]) / took)
        _weigh(node, agent, runtime, series)


def _weigh(node: NodePlan, agent: int, runtime: int, series: Series) -> None:
    alone = looks.memory([agent])
    series.add("agent-rss", alone.rss)
    series.add("agent-pss", alone.pss)
    if not looks.processes(node.data, "worker"):
        both = looks.memory([agent, runtime])
        series.add("both-rss", both.rss)
        series.add("both-pss", both.pss)


def _pids(node: NodePlan) -> tuple[int, int]:
    agent, runtime = (looks.processes(node.data, what)[0].pid for what in ("agent", "runtime"))
    return agent, runtime


def _memory_figures(series: Series) -> list[Figure]:
    how = "each agent of an idle site of five that serves 2 replicas"
    both = "its nodes without a worker, agent and runtime added up"
    return [
        series.figure("agent-rss", "agent idle, resident", "MiB", how, AGENT_RSS_MIB),
        series.figure("agent-pss", "agent idle, PSS", "MiB", how),
        series.figure(
            "both-rss", "agent and runtime without a worker, resident", "MiB", both, NO_WORKER_MIB
        ),
        series.figure("both-pss", "agent and runtime without a worker, PSS", "MiB", both),
    ]


def _cost_figures(series: Series, window: str) -> list[Figure]:
    cpu = f"CPU time over {window}, each node of the idle site of five"
    wan = f"idle site of five, {window}"
    start = "first start of each node, one after the other: process start to run/ready.json"
    return [
        series.figure("agent-cpu", "agent idle", "% of a core", cpu, AGENT_CPU_PERCENT),
        series.figure("runtime-cpu", "runtime idle", "% of a core", cpu),
        series.figure("start", "from start to serving", "s", start, START_S),
        series.figure(
            "payload", "WAN of an idle site, messages", "B/s", f"{wan}: the nodes' own count",
            WAN_BYTES_PER_S,
        ),
        series.figure(
            "idle-relay", "WAN of an idle site, TCP payload", "B/s",
            f"{wan}: counted at the relay, with TLS, HTTP/2 and checks of unused paths",
        ),
    ]  # fmt: skip
