"""A service that sleeps in a real mesh: nobody asks, it ends; any node is asked, it answers."""

import json
from collections.abc import Iterator

import grpc
import pytest

from tests.node.agent.lab import MASTER, SERVICE, SERVICE_YAML, Lab, wait_for

DEADLINE_S = 20.0
"""For a request that wakes it: a worker of a busy machine takes a few seconds to serve."""


@pytest.fixture(autouse=True)
def _asleep(lab: Lab) -> Iterator[None]:
    """The service may sleep, and does."""
    text = SERVICE_YAML.format(replicas=2).replace("{min: 2, max: 2}", "{min: 0, max: 2}")
    text += "  scaling: {downAfter: 2s}\n"
    lab.client(MASTER).apply(text.encode(), "-", False)
    wait_asleep(lab)
    yield
    lab.apply(replicas=2)
    lab.wait_serving("a", 2)


def wait_asleep(lab: Lab) -> None:
    """Until every node says that it sleeps, and no worker is left."""
    wait_for(
        "it sleeps",
        lambda: (
            all(lab.get(name, "status")[0]["asleep"] == [SERVICE] for name in lab.nodes)
            and not any(lab.pids(name, "worker") for name in lab.nodes)
        ),
        lambda: lab.try_get("a", "workloads"),
    )


def test_the_first_request_at_any_node_wakes_it_without_a_master(lab: Lab) -> None:
    master = lab.processes._started[MASTER]
    master.kill()
    master.wait()
    try:
        for name in ("a", "c"):
            assert lab.infer(name, DEADLINE_S) == [2.0] * 4
            assert sum(map(len, lab.serving(name).values())) >= 1
            wait_asleep(lab)
    finally:
        lab.hang_up(MASTER)
        lab.start_master()
        wait_for("the master answers", lambda: lab.try_get(MASTER, "status"))
    causes = {
        event["cause"]
        for name in lab.nodes
        for event in lab.get(name, "events")
        if event["event"] == "service.scaled"
    }
    assert any("a request waits for it at" in cause for cause in causes), causes
    assert "no request at any node for 2000 ms" in causes


def test_it_is_told_who_sleeps_and_why(lab: Lab) -> None:
    found = json.loads(lab.meshctl("explain", SERVICE, "-o", "json", *lab.at("b")))
    assert "wakes it" in found["asleep"]
    assert found["wanted"]["replicas"] == 0
    assert "nobody asks for it" in lab.meshctl("explain", SERVICE, *lab.at("c"))
    assert SERVICE in lab.meshctl("status", *lab.at("a"))
    (row,) = lab.get("a", "workloads", SERVICE)
    assert (row["phase"], row["node"]) == ("asleep", "")
    for daemon in ("a", MASTER):
        (service,) = (one for one in lab.get(daemon, "services") if one["name"] == SERVICE)
        assert service["asleep"] == ["north"]
    assert [one for one in lab.get("a", "alarms") if one["subject"] == SERVICE] == []


def test_a_request_that_cannot_wait_is_refused_with_the_way_out_and_wakes_it(lab: Lab) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        lab.infer("c", 0.3)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "ask again" in refused.value.details()
    lab.wait_serving("a", 1)
