"""A service steered in a real mesh: a rollout held half-way, going back, and a pinned version."""

from collections.abc import Iterator

import pytest

from node.admin.failures import BAD_INPUT, REFUSED, Failure
from protos.admin_pb2 import PinRequest, RolloutRequest
from tests.node.agent.lab import MASTER, SERVICE, SERVICE_YAML, Lab, wait_for

PUSHED = "2.0.0"
SOAK_S = 5
"""Of the new version: time to hold its rollout while it is on one node."""


def apply(lab: Lab, version: str, soak_s: int = 0) -> None:
    """Makes the service, two replicas, with that version of its model."""
    text = SERVICE_YAML.format(replicas=2).replace("tiny@1.0.0", f"tiny@{version}")
    text = text.replace("soak: 0s", f"soak: {soak_s}s")
    lab.client(MASTER).apply(text.encode(), "-", False)


def versions(lab: Lab) -> list[str]:
    """Of the replicas that serve, as a node knows them."""
    return sorted(one["version"] for found in lab.serving("a").values() for one in found)


def stages(lab: Lab) -> dict[str, str]:
    return {d["node"]: d["stage"] for d in lab.try_get("a", "rollouts", SERVICE)}


def wait_versions(lab: Lab, *expected: str) -> None:
    """Until these serve and nothing else, and each node answers."""
    wait_for(f"{expected} serve", lambda: versions(lab) == list(expected), lambda: stages(lab))
    for name in lab.nodes:
        assert lab.infer(name) == [2.0] * 4


def wait_known(lab: Lab) -> None:
    """Until each node has applied the state of now."""
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    for name in lab.nodes:
        wait_for(
            f"{name} knows state {counter}",
            lambda name=name: lab.get(name, "status")[0]["state"]["applied"] == counter,
        )


@pytest.fixture(scope="module", autouse=True)
def _pushed(lab: Lab) -> Iterator[None]:
    folder = str(lab.folder / "model")
    lab.meshctl("model", "push", folder, "--name", "tiny", "--version", PUSHED)
    yield
    lab.client(MASTER).pin(SERVICE, "", "", "")
    lab.client(MASTER).rollout(SERVICE, "", "resume", "")
    lab.apply(replicas=2)
    wait_versions(lab, "1.0.0", "1.0.0")


def test_a_rollout_that_is_paused_half_way_stays_so_through_restarts_and_then_goes_on(
    lab: Lab,
) -> None:
    wait_versions(lab, "1.0.0", "1.0.0")
    apply(lab, PUSHED, SOAK_S)
    wait_for("one node tries it", lambda: "trying" in stages(lab).values(), lambda: stages(lab))
    lab.client(MASTER).rollout(SERVICE, "", "pause", "looks slow")
    wait_versions(lab, "1.0.0", PUSHED)
    wait_known(lab)
    (waits,) = (d for d in lab.get(MASTER, "rollouts", SERVICE) if d["stage"] == "old")
    assert (waits["paused"], waits["why"]) == (True, "the rollout is paused")

    master = lab.processes._started[MASTER]
    master.kill()
    master.wait()
    lab.hang_up(MASTER)
    lab.kill_node(waits["node"])
    lab.start(waits["node"])
    wait_for("both serve, without a master", lambda: versions(lab) == ["1.0.0", PUSHED])
    lab.start_master()
    wait_for("the master answers", lambda: lab.try_get(MASTER, "status"))
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    again = lab.client(MASTER).rollout(SERVICE, "", "pause", "again")
    assert (list(again.sites), again.counter) == ([], counter)
    assert lab.get(MASTER, "services", SERVICE)[0]["paused"] == ["north"]

    assert "goes on in north" in lab.meshctl("rollout", "resume", SERVICE)
    wait_versions(lab, PUSHED, PUSHED)
    told = {d["event"]: d["cause"] for d in lab.get(MASTER, "events") if d["node"] == MASTER}
    assert told["rollout.paused"] == "looks slow"
    assert told["rollout.resumed"] == "no reason was given"
    by = {d["event"]: d["fields"].get("operator") for d in lab.get(MASTER, "events", MASTER)}
    expected = ("token.made", "node.enrolled", "rollout.applied", *told)
    assert by == dict.fromkeys(expected, "ann")


def test_undo_goes_back_node_by_node_and_undo_of_undo_returns(lab: Lab) -> None:
    apply(lab, "1.0.0")
    apply(lab, PUSHED)
    wait_versions(lab, PUSHED, PUSHED)
    lab.meshctl("rollout", "undo", SERVICE, "--reason", "answers differ")
    assert lab.get(MASTER, "services", SERVICE)[0]["spec"]["model"] == "tiny@1.0.0"
    wait_versions(lab, "1.0.0", "1.0.0")
    history = lab.meshctl("rollout", "history", SERVICE)
    assert "by undo" in history
    assert "answers differ" in history
    lab.client(MASTER).rollout(SERVICE, "", "undo", "")
    wait_versions(lab, PUSHED, PUSHED)


def test_a_pinned_version_stays_whatever_is_applied(lab: Lab) -> None:
    apply(lab, PUSHED)
    lab.meshctl("pin", SERVICE, "1.0.0", "--site", "north", "--reason", "audit")
    wait_versions(lab, "1.0.0", "1.0.0")
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    apply(lab, PUSHED)
    assert lab.get(MASTER, "status")[0]["state"]["seen"] == counter
    for daemon in ("a", MASTER):
        wait_known(lab)
        (service,) = lab.get(daemon, "services", SERVICE)
        assert service["pinned"] == {"north": "tiny@1.0.0"}
        assert all(d["pinned"] for d in lab.get(daemon, "rollouts", SERVICE))
    lab.client(MASTER).pin(SERVICE, "", "", "")
    wait_versions(lab, PUSHED, PUSHED)


def test_what_cannot_be_run_is_refused_with_the_way_out(lab: Lab) -> None:
    master = lab.client(MASTER)
    with pytest.raises(
        Failure, match=r"9 has not been pushed \(pushed are: 1.0.0, 2.0.0"
    ) as failed:
        master.pin(SERVICE, "", "9", "")
    assert "meshctl model push PATH --name tiny --version 9" in str(failed.value)
    assert failed.value.exit_code == REFUSED
    with pytest.raises(Failure, match="is no version") as failed:
        master.pin(SERVICE, "", "../9", "")
    assert failed.value.exit_code == BAD_INPUT
    with pytest.raises(Failure, match="there is no service 'nothing'"):
        master.rollout("nothing", "", "undo", "")
    refused = lab.run("meshctl", "rollout", "undo", SERVICE, *lab.at("a"))
    assert refused.code == REFUSED
    assert "only a master can undo rollouts" in refused.err


@pytest.mark.parametrize("version", ["", "1.0.0"])
def test_a_node_that_is_asked_all_the_same_refuses_with_the_way_out(lab: Lab, version: str) -> None:
    node = lab.client("a")
    with pytest.raises(Failure, match=r"only a master can .*pin versions; use a master's address"):
        node._call("Pin", PinRequest(workload=SERVICE, version=version))
    with pytest.raises(Failure, match="only a master can pause rollouts"):
        node._call("Rollout", RolloutRequest(workload=SERVICE, action="pause"))
