"""What is asked of a site without a master: healing, starting from cold, and its way back.

Each turn cuts the WAN of both sites, hurts them in the three ways, and gives the WAN back.
"""

import os
import signal
import time

from node.admin.demo.lab import in_parallel
from node.admin.demo.layout import MASTER
from node.admin.demo.processes import kill
from node.admin.demo.waiting import require, wait_for
from node.agent.config import WanSection
from tests.bench import looks
from tests.bench.figures import Asked, Figure, Series
from tests.bench.mesh import (
    FIVE,
    HOLD_TIMEOUT_S,
    LONE,
    LOOK_S,
    REPLICAS,
    SERVICES,
    SITES,
    Mesh,
    site_yaml,
    until,
    until_all,
)
from tests.bench.runs import Runs

WORKER_S = Asked(3)
NODE_S = Asked(6)
COLD_S = Asked(5)
SYNC_S = Asked(3)


def measure(mesh: Mesh, runs: Runs) -> list[Figure]:
    """One outage after another, each at least as long as the runs say."""
    series = Series()
    for turn in range(runs.outages):
        cut_at = _cut(mesh)
        _kill_worker(mesh, series)
        _start_cold(mesh, series)
        _kill_node(mesh, series)
        counter = mesh.apply(site_yaml(FIVE, 1000 + turn))
        time.sleep(max(0.0, cut_at + runs.outage_s - time.monotonic()))
        _reconnect(mesh, counter, series)
    return _figures(series)


def _cut(mesh: Mesh) -> float:
    at = time.monotonic()
    for site in SITES:
        mesh.relays[site].signalled(signal.SIGUSR1)
    names = [name for site in SITES for name in SITES[site]]
    until("no node knows a way", lambda: not any(looks.gateways(mesh, names).values()), at)
    return at


def _kill_worker(mesh: Mesh, series: Series) -> None:
    """The only worker of the site of one: nobody else can answer."""
    node = mesh.layout.nodes[SITES[LONE][0]]
    victim = looks.processes(node.data, "worker")[0]
    began = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    series.add("worker", until("the worker is back", lambda: mesh.right(node), began))
    workers = looks.processes(node.data, "worker")
    require(victim not in workers and len(workers) == 1, f"expected one new worker: {workers}")


def _start_cold(mesh: Mesh, series: Series) -> None:
    """All processes of the site of one end at once, and only its agent is started again."""
    node = mesh.layout.nodes[SITES[LONE][0]]
    kill(node.data)
    began = mesh.start_node(node)
    ready = node.data / "run" / "ready.json"
    series.add("ready", until("it serves its ports", ready.exists, began))
    series.add("cold", until("it answers", lambda: mesh.right(node), began))
    require(not any(looks.gateways(mesh, [node.name]).values()), f"{node.name} reached the master")


def _kill_node(mesh: Mesh, series: Series) -> None:
    """A node of the site of five that has a replica; it is started again once it is replaced."""
    service, names = SERVICES[FIVE], SITES[FIVE]
    before = looks.replicas(mesh, names[0], service)
    victim = sorted(before)[0]
    watcher = next(name for name in names if name not in before)
    at = kill(mesh.layout.nodes[victim].data)
    mesh.hang_up(victim)

    def look() -> tuple[dict[str, int] | None, object]:
        found = looks.replicas(mesh, watcher, service)
        whole = sum(count for name, count in found.items() if name != victim) == REPLICAS[FIVE]
        return (found if whole else None), found

    after = wait_for(f"the replicas of {victim} serve", look, HOLD_TIMEOUT_S, LOOK_S)
    series.add("node", time.monotonic() - at)
    for name in after:
        require(mesh.right(mesh.layout.nodes[name]), f"{name} serves, and not the golden answer")
    mesh.start_and_wait(mesh.layout.nodes[victim])
    mesh.wait_serving(FIVE)


def _reconnect(mesh: Mesh, counter: int, series: Series) -> None:
    """Both relays carry again: when is each site in sync, records handed over and all?"""
    restored_ms = time.time_ns() // 1_000_000
    began = time.monotonic()
    for site in SITES:
        mesh.relays[site].signalled(signal.SIGUSR2)

    def watch(site: str) -> None:
        names = SITES[site]
        took = until_all("in sync", names, lambda name: looks.in_sync(mesh, name, counter), began)
        links = looks.links_with_master(mesh, names, MASTER)
        admitted_ms = min(since for since in links if since >= restored_ms)
        series.add(f"restore-{site}", took)
        series.add(f"admission-{site}", took - (admitted_ms - restored_ms) / 1000)

    in_parallel(watch, SITES)
    for site in SITES:
        mesh.wait_whole(site)
        mesh.wait_serving(site)


def _figures(series: Series) -> list[Figure]:
    return [
        series.figure(
            "worker", "worker killed to the next good inference at that replica", "s",
            "site of one node and one replica, no master: SIGKILL to the golden answer", WORKER_S,
        ),
        series.figure(
            "cold", "cold start with no master to the first correct inference", "s",
            "site of one node: process start to the golden answer", COLD_S,
        ),
        series.figure(
            "ready", "the same, to serving its ports", "s",
            "process start to run/ready.json, with a plan on the disk",
        ),
        series.figure(
            "node", "node killed to its replicas serving elsewhere", "s",
            "site of five, no master, model staged: SIGKILL of agent, runtime and workers until "
            "another node sees all replicas serve; their golden answers are checked", NODE_S,
        ),
        *_sync_figures(series),
    ]  # fmt: skip


def _sync_figures(series: Series) -> list[Figure]:
    long = WanSection().retry_max
    in_sync = "until every node is in sync: state applied, records acknowledged"
    return [
        series.figure(
            f"admission-{FIVE}", "WAN back to in sync, from the link", "s",
            f"site of five: from the gateway's new link {in_sync}", SYNC_S,
        ),
        series.figure(
            f"restore-{FIVE}", f"WAN back to in sync, retry_max {long} (default)", "s",
            f"site of five: from the relay's restore {in_sync}", SYNC_S,
        ),
        series.figure(
            f"restore-{LONE}", "WAN back to in sync, retry_max 1s", "s",
            f"site of one: from the relay's restore {in_sync}", SYNC_S,
        ),
        series.figure(
            f"admission-{LONE}", "the same, from the link", "s",
            f"site of one: from its new link {in_sync}", SYNC_S,
        ),
    ]  # fmt: skip
