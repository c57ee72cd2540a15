"""What the bench looks at in a running mesh, over gRPC and in the operating system."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from node.admin.demo.lab import Lab
from node.admin.demo.processes import Incarnation, census
from node.admin.documents import Document

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """Of processes together, in MiB: resident, and with shared pages counted once."""

    rss: float
    pss: float


def live(lab: Lab, name: str) -> int:
    """How many live nodes of its site a node sees, itself included."""
    return sum(1 for node in lab.ask(name, "nodes") or [] if node.get("live") == "live")


def gateways(lab: Lab, names: Iterable[str]) -> dict[str, str]:
    """Of each node: which node of its site talks to the master as it knows; "" if none does."""
    return {name: (lab.status(name) or {}).get("wan", {}).get("via_gateway", "") for name in names}


def replicas(lab: Lab, asked: str, service: str) -> dict[str, int]:
    """How many replicas of a service serve on each node, as the node `asked` sees it."""
    found: dict[str, int] = {}
    for one in lab.ask(asked, "workloads") or []:
        if one.get("workload") == service and one.get("phase") == "serving":
            found[one["node"]] = found.get(one["node"], 0) + 1
    return found


def applied(lab: Lab, name: str) -> int:
    """The counter of the state that a node has applied; 0 if it does not answer."""
    return int((lab.status(name) or {}).get("state", {}).get("applied", 0))


def in_sync(lab: Lab, name: str, counter: int) -> bool:
    """Whether a node is in sync with the master, at least at the state `counter`."""
    state = (lab.status(name) or {}).get("state", {})
    return bool(state.get("synced")) and state.get("applied", 0) >= counter


def links_with_master(lab: Lab, names: Iterable[str], master: str) -> list[int]:
    """Since when these nodes hold links with the master, in Unix ms."""
    peers = [peer for name in names for peer in (lab.status(name) or {}).get("peers", [])]
    return [int(peer["since"]) for peer in peers if peer.get("id") == master]


def artifact(lab: Lab, name: str, wanted: str, version: str) -> Document:
    """An artifact as a node has it; empty if it does not know it."""
    for one in lab.ask(name, "artifacts") or []:
        if (one.get("name"), one.get("version")) == (wanted, version):
            return one
    return {}


def processes(data: Path, what: str) -> list[Incarnation]:
    """The processes of a node that are agent, runtime, worker or pipeline."""
    return sorted(one for one in census(data) if one.what == what)


def memory(pids: Iterable[int]) -> Memory:
    found = [psutil.Process(pid).memory_full_info() for pid in pids]
    return Memory(sum(one.rss for one in found) / MIB, sum(one.pss for one in found) / MIB)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, in user and kernel."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def carried(lab: Lab, site: str) -> int:
    """Bytes of TCP payload that a site's relay has carried to and from the master's peer port."""
    port = lab.relays[site].ask("counters")["ports"][0]
    return int(port["to_target_bytes"]) + int(port["from_target_bytes"])


def wan_payload(lab: Lab, names: Iterable[str]) -> int:
    """Bytes of messages that nodes have sent and received over the WAN, as they count them."""
    counted = [(lab.status(name) or {}).get("wan_bytes", {}) for name in names]
    return sum(int(one.get("sent", 0)) + int(one.get("received", 0)) for one in counted)
