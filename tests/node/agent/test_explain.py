"""`meshctl explain` and `top`: a node says why, a master says whom to ask."""

import json

from tests.node.agent.lab import MASTER, SERVICE, Lab
from tests.node.agent.test_mesh_story import settle


def test_a_node_explains_where_a_service_runs_and_why(lab: Lab) -> None:
    settle(lab)
    found = json.loads(lab.meshctl("explain", SERVICE, "-o", "json", *lab.at("b")))
    assert (found["workload"], found["kind"], found["site"], found["seen_by"]) == (
        SERVICE,
        "service",
        "north",
        "b",
    )
    assert found["wanted"] == {"replicas": 2, "min": 2, "max": 2} | {
        "kept_by": found["wanted"]["kept_by"]
    }
    assert found["version"] == found["version"] | {"planned": "1.0.0", "here": "1.0.0"}
    nodes = {one["node"]: one for one in found["nodes"]}
    assert {name for name, one in nodes.items() if one["runs"]} == set(lab.serving("a"))
    assert sum(one["spare"] for one in nodes.values()) == 1
    assert any(one["event"] == "workload.placed" for one in found["events"])


def test_it_reads_as_text(lab: Lab) -> None:
    settle(lab)
    out = lab.meshctl("explain", SERVICE, *lab.at("a"))
    assert f"{SERVICE}, a service of north, as a sees it in state" in out
    assert "2 replicas; the plan allows 2 to 2" in out
    assert "by rendezvous of 3 that may run it" in out
    assert "decided by these events" in out


def test_a_master_says_whom_to_ask_and_what_is_not_planned_is_not_explained(lab: Lab) -> None:
    refused = lab.run("meshctl", "explain", SERVICE)
    assert refused.code == 4
    assert "ask a node of the site" in refused.err
    unknown = lab.run("meshctl", "explain", "nobody", *lab.at("a"))
    assert unknown.code == 1
    assert "no workload 'nobody' is planned here" in unknown.err


def test_top_shows_nodes_and_loads(lab: Lab) -> None:
    settle(lab)
    out = lab.meshctl("top", *lab.at("a"))
    assert "NODE" in out
    assert "REQUESTS/S" in out
    loads = json.loads(lab.meshctl("top", "-o", "json", *lab.at("a")))
    assert {one["node"] for one in loads} == set(lab.serving("a"))
    assert all(one["service"] == SERVICE and one["serving"] == 1 for one in loads)
    assert {one["node"] for one in lab.get(MASTER, "loads")} == set(lab.serving("a"))
