"""What a real mesh does: it serves, heals, adopts, starts cold, hands over, restarts."""

import os
import signal
from pathlib import Path

import pytest

from node.admin.demo.audit import Audit, compare, read_copy
from node.admin.failures import Failure
from tests.node.agent.lab import MASTER, SERVICE, SERVICE_YAML, Lab, alive, wait_for


def workers(lab: Lab) -> dict[str, set[int]]:
    """The workers' process ids, by node, without nodes that have none."""
    found = {name: lab.pids(name, "worker") for name in lab.nodes}
    return {name: pids for name, pids in found.items() if pids}


def settle(lab: Lab) -> None:
    """Until two replicas serve on two nodes and nothing else runs: the end of any healing."""

    def settled() -> bool:
        running = {name: len(pids) for name, pids in workers(lab).items()}
        return sorted(running.values()) == [1, 1] and set(running) == set(lab.serving("a"))

    wait_for("two nodes serve", settled, lambda: (workers(lab), lab.serving("a")))


def audit(lab: Lab, scratch: Path) -> Audit:
    """Every record on any node's disk against the master's."""
    nodes = [read_copy(node.data, scratch / "nodes") for node in lab.nodes.values()]
    return compare(nodes, read_copy(lab.master_data, scratch / "master"))


def test_applied_means_serving_on_two_nodes_and_any_node_answers(lab: Lab) -> None:
    settle(lab)
    assert len(lab.serving("a")) == 2
    for name in lab.nodes:
        lab.wait_answer(name)  # fails if it never answers right


def test_only_the_gateway_keeps_a_link_with_the_master(lab: Lab) -> None:
    wait_for(
        "one link with the master",
        lambda: len(lab.get(MASTER, "status")[0]["peers"]) == 1,
        lambda: lab.get(MASTER, "status")[0]["peers"],
    )


def test_a_killed_worker_comes_back_where_it_was(lab: Lab) -> None:
    settle(lab)
    name, (worker, *_) = next(iter(workers(lab).items()))
    assert lab.get(name, "status")[0]["replicas"][0]["pid"] == worker
    os.kill(worker, signal.SIGKILL)
    wait_for(
        "another worker serves there",
        lambda: any(
            one.get("pid", worker) != worker and one["phase"] == "serving"
            for one in lab.get(name, "status")[0]["replicas"]
        ),
        lambda: lab.get(name, "status")[0]["replicas"],
    )
    lab.wait_answer(name)


def test_workers_outlive_their_agent_and_are_adopted(lab: Lab) -> None:
    settle(lab)
    name, pids = next(iter(workers(lab).items()))
    (agent,) = lab.pids(name, "agent")
    (runtime,) = lab.pids(name, "runtime")
    os.kill(agent, signal.SIGKILL)
    assert lab.infer(name) == [2.0] * 4
    lab.start(name)
    wait_for("it sees its worker", lambda: name in lab.serving(name), lambda: lab.log(name))
    settle(lab)
    assert lab.pids(name, "worker") == pids
    assert lab.pids(name, "runtime") == {runtime}


def test_an_agent_that_is_told_to_stop_leaves_the_runtime_and_stop_ends_that(lab: Lab) -> None:
    settle(lab)
    name, (worker, *_) = next(iter(workers(lab).items()))
    process = lab.nodes[name].process
    assert process is not None
    process.terminate()
    assert process.wait(20) == 0
    assert alive(worker)
    assert not (lab.nodes[name].data / "run" / "ready.json").exists()
    stop = ["runtime", "--stop", "--data", str(lab.nodes[name].data)]
    done = lab.run("meshd", *stop)
    assert (done.code, done.out) == (0, "The runtime has ended, with all that it ran.\n")
    wait_for("nothing runs there", lambda: not lab.census(name), lambda: lab.census(name))
    assert lab.run("meshd", *stop).out == "No runtime runs here.\n"
    lab.start(name)


def test_a_killed_node_is_replaced_and_starts_cold_without_a_master(
    lab: Lab, tmp_path: Path
) -> None:
    settle(lab)
    master = lab.processes._started[MASTER]
    master.kill()
    master.wait()
    lab.hang_up(MASTER)
    name = next(n for n in workers(lab) if n != "a")
    lab.kill_node(name)
    lab.wait_serving("a", 2, without=name)
    lab.start(name)
    lab.wait_answer(name)
    wait_for("an outage", lambda: lab.try_get("a", "alarms", "Outage"))  # a moment is none
    lab.start_master()
    settle(lab)
    found: list[Audit] = []

    def handed_over() -> bool:
        found.append(audit(lab, tmp_path))
        return found[-1].clean and found[-1].records > 0

    wait_for(
        "every record is at the master once and in order",
        handed_over,
        lambda: (found[-1], [lab.try_get(n, "status")[0]["journal"] for n in lab.nodes]),
    )
    assert lab.get(MASTER, "outages")
    assert any(e["event"] == "node.dead" for e in lab.get(MASTER, "events"))


def test_a_restart_at_a_node_and_through_the_master(lab: Lab) -> None:
    settle(lab)
    before = workers(lab)
    name = next(iter(before))
    done = lab.meshctl("restart", SERVICE, "--reason", "try", *lab.at(name))
    assert "1" in done
    (entry,) = [one for one in lab.get(name, "events") if one["event"] == "workload.restart"]
    assert (entry["cause"], entry["fields"]) == ("try", {"operator": "ann"})
    wait_for(
        "another worker there", lambda: (now := lab.pids(name, "worker")) and now != before[name]
    )
    settle(lab)
    before = workers(lab)
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    lab.meshctl("restart", SERVICE)
    assert lab.get(MASTER, "status")[0]["state"]["seen"] > counter
    wait_for(
        "other workers everywhere",
        lambda: not set().union(*workers(lab).values()) & set().union(*before.values()),
        lambda: (before, workers(lab)),
    )
    settle(lab)


def test_applying_what_holds_restarts_nothing(lab: Lab) -> None:
    settle(lab)
    before = {name: lab.census(name) for name in lab.nodes}
    lab.apply(replicas=2)
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    wait_for("it is known", lambda: lab.get("a", "status")[0]["state"]["applied"] == counter)
    assert {name: lab.census(name) for name in lab.nodes} == before


KINDS = ("status", "nodes", "sites", "workloads", "models", "services", "pipelines", "resources",
         "artifacts", "alarms", "events", "outages")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_site_can_be_read_from_a_node_and_from_the_master(lab: Lab, kind: str) -> None:
    settle(lab)
    for daemon in ("a", MASTER):
        found = lab.get(daemon, kind)
        assert found or kind in ("pipelines", "alarms", "outages")
        assert len(lab.client(daemon).get(kind, limit=1)) <= 1
        assert lab.get(daemon, kind, "no-such-name") in ([], found)
        assert isinstance(lab.client(daemon).get(kind, site="north"), list)


def test_what_only_a_master_can_say_is_refused_at_a_node_with_the_way_out(lab: Lab) -> None:
    done = lab.run("meshctl", "restart", "nothing", *lab.at("a"))
    assert done.code != 0
    assert "no replica of 'nothing' runs on a" in done.err
    with pytest.raises(Failure, match="only a master has tokens"):
        lab.get("a", "tokens")
    with pytest.raises(Failure, match="this node is of the site 'north'"):
        lab.client("a").get("nodes", site="south")
    with pytest.raises(Failure, match="no kind"):
        lab.get(MASTER, "nothings")


def test_the_master_says_what_it_cannot_do(lab: Lab) -> None:
    master = lab.client(MASTER)
    with pytest.raises(Failure, match="is needed by Service 'adder'"):
        master.delete("Model", "tiny")
    with pytest.raises(Failure):
        master.delete("Service", "nobody")
    with pytest.raises(Failure):
        master.revoke("nobody", "it is not there")
    with pytest.raises(Failure):
        master.restart("nobody", "", "")
    assert master.apply(SERVICE_YAML.format(replicas=1).encode(), "-", True).changes
    assert lab.get(MASTER, "services")[0]["desired"] == 2  # a dry run
