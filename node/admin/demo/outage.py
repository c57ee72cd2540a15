"""The second half of the story: cut, kill, start cold, change, reconnect, report."""

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from node.admin.demo import audit, views
from node.admin.demo.golden import GoldenRequest
from node.admin.demo.lab import Lab
from node.admin.demo.layout import (
    LOCAL_REPLICAS,
    LOCAL_SITE,
    REPLICAS_LATER,
    SERVICES,
    SITES,
    NodePlan,
    service_yaml,
)
from node.admin.demo.narrator import Narrator, counts
from node.admin.demo.processes import Incarnation, census, kill
from node.admin.demo.waiting import require, wait_for
from node.admin.documents import Document
from node.admin.output import seconds

CUT_TIMEOUT_S = 20.0
HEAL_TIMEOUT_S = 30.0
SYNC_TIMEOUT_S = 30.0
CHANGE_TIMEOUT_S = 30.0

RATE_MIN_PER_S = 20.0
"""That the independent client sends to every live node."""

RATE_SLACK = 40.0
"""Requests of the last two seconds, which may not have been answered when the report is made."""


@dataclass
class Outage:
    """Steps 5 to 8. Each method is a step."""

    lab: Lab
    say: Narrator
    golden: GoldenRequest
    cut_at: float = 0.0
    before: set[Incarnation] = field(default_factory=set)
    counter: int = 0
    killed: str = ""

    def cut(self) -> None:
        self.cut_at = time.monotonic()
        for relay in self.lab.relays.values():
            relay.signalled(signal.SIGUSR1)

        def look() -> tuple[bool | None, object]:
            seen = views.wan_up(self.lab, views.all_nodes())
            return (None if any(one is not False for one in seen.values()) else True), seen

        wait_for("every node knows that the WAN is down", look, CUT_TIMEOUT_S)
        took = time.monotonic() - self.cut_at
        self.say.tell(f"the relays are cut; every node says so after {took:.1f} s")

    def kill_worker(self) -> None:
        node = self._node_with_replicas("north")
        service = SERVICES[node.site]
        workers = [one for one in census(node.data) if one.what == "worker"]
        require(workers, f"no worker process on {node.name}: {sorted(census(node.data))}")
        victim = workers[0]
        began = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)

        def look() -> tuple[bool | None, object]:
            replicas = (self.lab.status(node.name) or {}).get("replicas", [])
            pids = {one.get("pid") for one in replicas if one.get("phase") == "serving"}
            new = {one.pid for one in census(node.data) - set(workers) if one.what == "worker"}
            if pids & new and self.golden.right(service, node.inference):
                return True, ""
            return None, replicas

        wait_for(f"the worker on {node.name} is back", look, HEAL_TIMEOUT_S, 0.05)
        took = round(time.monotonic() - began, 2)
        text = f"SIGKILL to a worker on {node.name}: that replica answers again after {took} s"
        self.say.measured("heal_worker_s", took, text)

    def kill_node(self) -> NodePlan:
        node = self._node_with_replicas("south")
        watcher = next(one for one in SITES["south"] if one != node.name)
        self.killed = node.name
        at = kill(node.data)
        self.lab.hang_up(node.name)
        require(not census(node.data), f"some of {node.name} still lives: {census(node.data)}")
        self.lab.loads["south"].ask(f"down {node.name} {at * 1000:.0f}")

        def look() -> tuple[dict[str, int] | None, object]:
            found = views.replicas_on(self.lab, watcher, "south")
            elsewhere = {name: count for name, count in found.items() if name != node.name}
            whole = sum(elsewhere.values()) >= 2
            return (elsewhere if whole else None), found

        found = wait_for(f"the replicas of {node.name} serve elsewhere", look, HEAL_TIMEOUT_S, 0.1)
        took = round(time.monotonic() - at, 2)
        text = f"SIGKILL to all of {node.name}: its replicas serve elsewhere after {took} s"
        self.say.measured("heal_node_s", took, f"{text} ({counts(found)})")
        return node

    def start_cold(self, node: NodePlan) -> None:
        service = SERVICES[node.site]
        require(not self.golden.right(service, node.inference), f"{node.name} was not dead")
        began = self.lab.start_node(node)

        def look() -> tuple[bool | None, object]:
            self.lab.processes.check_running(node.name)
            right = self.golden.right(service, node.inference)
            return (True if right else None), self.lab.processes.tail(node.name)

        wait_for(f"{node.name} answers", look, HEAL_TIMEOUT_S, 0.05)
        took = round(time.monotonic() - began, 2)
        text = f"{node.name} from cold, without a master: first right answer after {took} s"
        self.say.measured("cold_start_s", took, text)
        self.lab.loads[node.site].ask(f"up {node.name} {node.inference}")
        status = self.lab.status(node.name) or {}
        require(not status.get("wan", {}).get("up"), f"{node.name} says that it has a master")

    def read_anywhere(self) -> None:
        nodes = list(self.lab.layout.nodes.values())

        def read(node: NodePlan) -> None:
            out = self.lab.meshctl("status", *self.lab.at(node), "-o", "json")
            status = json.loads(out)
            require(status.get("node") == node.name, f"{node.name} answered as {status}")

        for node in nodes:
            read(node)
        code, out, err = self.lab.try_meshctl("apply", "-f", "-", *self.lab.at(nodes[0]),
                                              stdin=service_yaml("north", 2).encode())  # fmt: skip
        require(code == 4, f"a node took an apply ({code}): {out}{err}")
        self.say.tell(f"meshctl status works at each of the {len(nodes)} nodes, apply at none")

    def change_locally(self) -> None:
        """What an operator at a site does meanwhile, within what the plan allows."""
        node = self.lab.layout.of_site(LOCAL_SITE)[0]
        service, count = SERVICES[LOCAL_SITE], LOCAL_REPLICAS
        because = ["--for", "1h", "--reason", "a queue at the door", *self.lab.at(node)]
        began = time.monotonic()
        self.lab.meshctl("local", "scale", service, str(count), *because)

        def look() -> tuple[bool | None, object]:
            found = views.replicas_on(self.lab, node.name, LOCAL_SITE)
            return (True if sum(found.values()) == count else None), found

        wait_for(f"{count} replicas serve in {LOCAL_SITE}", look, CHANGE_TIMEOUT_S)
        took = round(time.monotonic() - began, 2)
        text = f"meshctl local scale {service} {count} at {node.name}: they serve after {took} s"
        self.say.tell(text)
        code, _, err = self.lab.try_meshctl(
            "local", "scale", service, str(count), "--for", "2d", "--reason", "for good",
            *self.lab.at(node),
        )  # fmt: skip
        require(code == 4 and "12.0 h" in err, f"a change beyond the plan was taken: {code} {err}")
        self.say.tell("for two days it is refused: the plan allows 12 hours")

    def change(self) -> None:
        """What the operator at the master does meanwhile."""
        yaml = service_yaml("south", REPLICAS_LATER["south"]).encode()
        applied = json.loads(self.lab.meshctl("apply", "-f", "-", "-o", "json", stdin=yaml))
        self.counter = int(applied["counter"])
        late = views.behind(self.lab, views.all_nodes(), self.counter)
        require(len(late) == len(views.all_nodes()), f"a node has it through the cut: {late}")
        self.say.tell(f"at the master: a third replica in south, state {self.counter}")
        self.say.tell("no node has it: the WAN is down")

    def reconnect(self) -> None:
        self.before = self._census()
        began = time.monotonic()
        for relay in self.lab.relays.values():
            relay.signalled(signal.SIGUSR2)
        waiting = set(views.all_nodes())

        def look() -> tuple[bool | None, object]:
            late = views.unsynced(self.lab, sorted(waiting), self.counter)
            waiting.intersection_update(late)
            return (None if waiting else True), late

        wait_for("all nodes are in sync with the master", look, SYNC_TIMEOUT_S, 0.1)
        took = round(time.monotonic() - began, 2)
        outage = seconds(began - self.cut_at)
        text = (
            f"after {outage} without a master, everything is in sync {took} s after the WAN is up"
        )
        self.say.measured("resync_s", took, text)
        self._wait_third_replica()
        gone = self.before - self._census()
        self.say.measured(
            "reconnect_restarts",
            len(gone),
            f"nothing that was right was restarted: all {len(self.before)} processes are the same",
        )
        require(not gone, f"these processes are gone: {sorted(gone)}")
        self._check_local_change()

    def _wait_third_replica(self) -> None:
        def look() -> tuple[dict[str, int] | None, object]:
            found = views.replicas_on(self.lab, "south-a", "south")
            return (found if sum(found.values()) >= 3 else None), found

        found = wait_for("a third replica serves in south", look, CHANGE_TIMEOUT_S)
        text = f"south has three replicas: {counts(found)}"
        self.say.tell(f"the change made meanwhile is in place: {text}")

    def _check_local_change(self) -> None:
        """The master has what was changed at the site, and why; it still counts."""

        def look() -> tuple[Document | None, object]:
            found: list[Document] = json.loads(self.lab.meshctl("local", "ls", "-o", "json"))
            ours = [one for one in found if one.get("site") == LOCAL_SITE]
            return (ours[0] if ours else None), found

        found = wait_for("the master knows the local change", look, SYNC_TIMEOUT_S, 0.2)
        what = f"{found['workload']} {found['field']} = {found['value']} by {found['operator']}"
        self.say.tell(f"the master shows the local change of {LOCAL_SITE}: {what}, and why")

    def account(self) -> None:
        """Every record, on whichever disk it lies, is at the master once."""
        scratch = self.lab.layout.folder / "audit"
        nodes = [audit.read_copy(node.data, scratch) for node in self.lab.layout.nodes.values()]

        def look() -> tuple[audit.Audit | None, object]:
            master = audit.read_copy(self.lab.layout.master_data, scratch)
            found = audit.compare(nodes, master)
            self.say.figures["journal_lost"] = len(found.lost)
            self.say.figures["journal_duplicated"] = len(found.duplicated)
            return (None if found.lost else found), found

        found = wait_for("the master has every record", look, SYNC_TIMEOUT_S, 0.5)
        require(found.clean, f"the master's journals are not the nodes': {found}")
        text = f"{found.records} records in {found.logs} logs of 5 nodes: each once, in order"
        self.say.tell(f"{text}, none lost, also of the node that was killed")
        self._check_outages()

    def _check_outages(self) -> None:
        outages = json.loads(self.lab.meshctl("outages", "-o", "json"))
        for site in SITES:
            own = [one for one in outages if one.get("site") == site and one.get("ended")]
            require(own, f"meshctl outages tells of none of {site}: {outages}")
            last = own[-1]
            text = f"meshctl outages: {site} {last['duration_s']:.1f} s"
            self.say.tell(f"{text}, {len(last.get('events', []))} events in between")

    def tally(self) -> None:
        """What the independent client saw."""
        totals: dict[str, int] = {}
        nodes: dict[str, Any] = {}
        shortest_s = float("inf")
        for load in self.lab.loads.values():
            report = load.ask("report")
            nodes.update(report["nodes"])
            shortest_s = min(shortest_s, report["seconds"])
            for name, count in report["total"].items():
                totals[name] = totals.get(name, 0) + count
        bad = totals["failed"] + totals["wrong"]
        self.say.figures["requests_total"] = totals["requests"]
        self.say.figures["failed_inferences"] = bad
        self.say.figures["in_flight_at_kill"] = totals["in_flight_at_kill"]
        details = {
            name: one.get("failures")
            for name, one in nodes.items()
            if one["failed"] or one["wrong"]
        }
        require(not bad, f"{bad} of {totals['requests']} requests failed: {str(details)[:2000]}")
        slow = {
            name: one["requests"]
            for name, one in nodes.items()
            if name != self.killed and one["requests"] < RATE_MIN_PER_S * shortest_s - RATE_SLACK
        }
        require(
            not slow,
            f"the client sent less than {RATE_MIN_PER_S:.0f}/s in {shortest_s:.0f} s: {slow}",
        )
        slowest = max((one.get("p99_ms") or 0.0 for one in nodes.values()), default=0.0)
        text = f"{totals['requests']} requests to all live nodes throughout: none failed"
        self.say.tell(f"{text}; 99 % of them within {slowest:.0f} ms")

    def _census(self) -> set[Incarnation]:
        return {one for node in self.lab.layout.nodes.values() for one in census(node.data)}

    def _node_with_replicas(self, site: str) -> NodePlan:
        """A node of the site that serves a replica, and not every one of them."""
        found = views.replicas_on(self.lab, SITES[site][0], site)
        require(found, f"nothing serves in {site}")
        return self.lab.layout.nodes[random.choice(sorted(found))]
