"""Cordon and drain on a real mesh: what moves, what stays, and that no request fails."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from node.admin.failures import Failure
from tests.node.agent.asking import asked_everywhere
from tests.node.agent.lab import MASTER, SERVICE, Lab, wait_for


@pytest.fixture
def settled(lab: Lab) -> Iterator[Lab]:
    """The mesh with two replicas on two nodes and none held back, before and after."""
    wait_for("two serve", lambda: sorted(map(len, lab.serving("a").values())) == [1, 1])
    for name in lab.nodes:
        lab.wait_answer(name)
    yield lab
    for name in lab.nodes:
        with suppress(Failure):
            lab.client(name).cordon(name, False, False, "")
        lab.client(MASTER).cordon(name, False, False, "")
    wait_for("none is held back", lambda: not any(cordons(lab, "a").values()))
    wait_for("two serve", lambda: sorted(map(len, lab.serving("a").values())) == [1, 1])


def cordons(lab: Lab, daemon: str) -> dict[str, str]:
    """What `get nodes` shows, by node."""
    return {one["node"]: one.get("cordon", "") for one in lab.try_get(daemon, "nodes")}


def test_a_drain_at_a_master_moves_the_work_and_no_request_fails(settled: Lab) -> None:
    lab = settled
    name = sorted(lab.serving("a"))[0]
    with asked_everywhere(lab):
        said = lab.meshctl("drain", name, "--reason", "new fan")
        assert said == f"{name} is drained: nothing runs there\n"
        assert lab.pids(name, "worker") == set()
        lab.wait_serving("a", 2, without=name)
        assert cordons(lab, MASTER)[name] == "drained"
        assert cordons(lab, name)[name] == "drained"
        assert "drained" in lab.meshctl("status", *lab.at(name))
        lab.meshctl("uncordon", name, "--reason", "it is in")
        wait_for("uncordoned", lambda: not cordons(lab, name)[name])
        wait_for("two serve", lambda: sorted(map(len, lab.serving("a").values())) == [1, 1])
    told = [(e["event"], e["subject"], e["cause"]) for e in lab.get(MASTER, "events")]
    assert ("node.draining", name, "new fan") in told
    assert ("node.uncordoned", name, "it is in") in told
    wait_for("it says so", lambda: has_event(lab, "node.drained", name))


def has_event(lab: Lab, event: str, name: str) -> bool:
    found = lab.try_get(MASTER, "events", name)
    return any((one["event"], one["subject"]) == (event, name) for one in found)


def test_a_drain_at_the_node_itself_holds_over_its_restart(settled: Lab) -> None:
    lab = settled
    name = sorted(lab.serving("a"))[-1]
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    done = json.loads(lab.meshctl("drain", name, "-o", "json", *lab.at(name)))
    assert done == {"node": name, "cordon": "drained", "counter": 0}
    assert lab.get(MASTER, "status")[0]["state"]["seen"] == counter, "no master was asked"
    drained = lambda: [e["event"] for e in lab.try_get(name, "events")].count("node.drained")  # noqa: E731
    wait_for("it is journalled", drained)
    before = drained()
    process = lab.nodes[name].process
    assert process is not None
    process.terminate()
    assert process.wait(20) == 0
    lab.start(name)
    wait_for("it still says so", lambda: cordons(lab, name)[name] == "drained")
    wait_for("the master hears of it", lambda: cordons(lab, MASTER)[name] == "drained")
    refused = lab.run("meshctl", "uncordon", name)
    assert refused.code == 4
    assert f"uncordon {name} --address {lab.nodes[name].address}" in refused.err
    lab.meshctl("cordon", name)
    wait_for("it is told", lambda: lab.get(name, "status")[0]["state"]["seen"] > counter)
    here = lab.meshctl("uncordon", name, *lab.at(name))
    assert here.startswith(f"{name} takes no work yet: a master holds it back as well")
    lab.meshctl("drain", name, "--no-wait", *lab.at(name))
    there = lab.meshctl("uncordon", name)
    assert there.startswith(f"{name} takes no work yet: the node holds itself back as well")
    assert f"--address {lab.nodes[name].address} --identity {name}" in there
    assert lab.meshctl("uncordon", name, *lab.at(name)) == f"{name} takes work again\n"
    assert drained() == before + 1, "once for each drain, and not for each start"


def test_what_cannot_move_stays_and_serves_and_is_said(settled: Lab) -> None:
    lab = settled
    names = sorted(lab.nodes)
    for name in names[:2]:
        lab.meshctl("drain", name)
    with asked_everywhere(lab):
        last = lab.run("meshctl", "drain", names[2])
        assert last.code == 1
        assert f"{names[2]} keeps {SERVICE}: 2 of its replicas fit on no other" in last.err
        assert f"`meshctl uncordon {names[2]}`" in last.err
        lab.wait_serving("a", 2)
        assert [a["subject"] for a in lab.get("a", "alarms", "Drain")] == [f"{names[2]}/{SERVICE}"]
        lab.meshctl("uncordon", names[0])
        wait_for("it is drained now", lambda: cordons(lab, "a")[names[2]] == "drained")


def test_a_cordoned_node_keeps_its_workers(settled: Lab) -> None:
    lab = settled
    name = sorted(lab.serving("a"))[0]
    before = lab.pids(name, "worker")
    assert lab.meshctl("cordon", name).startswith(f"{name} takes no new work")
    wait_for("it is known", lambda: cordons(lab, "a")[name] == "cordoned")
    lab.apply(replicas=3)
    lab.wait_serving("a", 3)
    assert lab.pids(name, "worker") == before
    lab.apply(replicas=2)


def test_what_cannot_be_asked_is_refused_with_the_way_out(settled: Lab) -> None:
    lab = settled
    for command in ("cordon", "drain", "uncordon"):
        done = lab.run("meshctl", command, "nobody")
        assert (done.code, "there is no node 'nobody'" in done.err) == (1, True), done
    other = lab.run("meshctl", "cordon", "b", *lab.at("a"))
    assert other.code == 4
    assert f"--address {lab.nodes['b'].address} --identity b" in other.err
    foreign = lab.run("meshctl", "cordon", "south-1", *lab.at("a"))
    assert "its site 'north' knows no node 'south-1'" in foreign.err
    lab.meshctl("cordon", "a")
    wait_for("it is known", lambda: cordons(lab, "a")["a"] == "cordoned")
    here = lab.run("meshctl", "uncordon", "a", *lab.at("a"))
    assert here.code == 4
    assert "only a master can end that" in here.err
    with pytest.raises(Failure, match="all printable"):
        lab.client("a").cordon("a", True, False, "bell \a")
