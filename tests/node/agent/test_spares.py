"""Spares on a real mesh: a failover downloads nothing, and each node says what it holds and why."""

from tests.node.agent.lab import SERVICE, Lab, wait_for

MODEL = "tiny", "1.0.0"
"""Other tests of this mesh leave other versions."""


def held(lab: Lab, name: str) -> dict[str, object]:
    """What a node says of the service's model."""
    (one,) = (a for a in lab.try_get(name, "artifacts") if (a["name"], a["version"]) == MODEL)
    return one


def test_a_failover_to_the_spare_downloads_nothing(lab: Lab) -> None:
    wait_for("two serve", lambda: sorted(map(len, lab.serving("a").values())) == [1, 1])
    lost = max(lab.serving("a"))
    other = next(name for name in lab.serving("a") if name != lost)
    (spare,) = lab.nodes.keys() - lab.serving("a").keys()
    wait_for("all hold it", lambda: held(lab, spare).get("nodes") == 3)
    nodes = lab.serving("a").keys()
    before = held(lab, spare)
    assert (before["complete"], before["why"]) == (True, f"spare of {SERVICE}")
    assert held(lab, other)["why"] == "runs here"
    lab.kill_node(lost)
    lab.wait_serving(spare, 2, without=lost)
    after = held(lab, spare)
    assert after["why"] == "runs here"
    assert (after["wan_bytes"], after["lan_bytes"]) == (before["wan_bytes"], before["lan_bytes"])
    assert "runs here" in lab.meshctl("get", "artifacts", *lab.at(spare))
    lab.start(lost)
    # What the spare took over goes back to where it ranks first: a rollout that begins meanwhile
    # may begin at the spare, and end there with the move.
    wait_for("it is back", lambda: lab.serving(lost).keys() == nodes)
