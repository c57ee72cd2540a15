"""What a mesh of real processes does: it serves, heals, adopts, starts cold, hands over, shuts out."""

import signal

from node.admin.demo.audit import compare, read_copy
from tests.node.agent.lab import MASTER, SERVICE, Lab, alive, wait_for


def test_applied_means_serving_on_two_nodes_and_any_node_answers(lab: Lab) -> None:
    assert sorted(map(len, lab.serving("a").values())) == [1, 1]
    for name in lab.nodes:
        lab.wait_answer(name)


def test_a_killed_worker_comes_back_where_it_was(lab: Lab) -> None:
    name, replicas = next(iter(lab.serving("a").items()))
    before = lab.get(name, "status")[0]["replicas"][0]["pid"]
    assert len(replicas) == 1
    (worker,) = lab.pids(name, "worker")
    assert worker == before
    import os

    os.kill(worker, signal.SIGKILL)
    wait_for(
        "another worker serves there",
        lambda: any(
            one.get("pid", worker) != worker and one["phase"] == "serving"
            for one in lab.get(name, "status")[0]["replicas"]
        ),
    )
    lab.wait_answer(name)
