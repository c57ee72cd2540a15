"""Local changes by `meshctl` against real nodes, with no master in sight."""

import json
import signal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.signed import Signer
from mesh.site.changes import KIND
from node.admin.failures import Failure
from protos.documents_pb2 import LocalChange
from tests.node.agent.lab import MASTER, SERVICE, SERVICE_YAML, Lab, wait_for
from tests.node.agent.test_mesh_story import settle

ALLOWING = b"""apiVersion: mesh/v1
kind: Site
metadata: {name: north}
spec: {autonomy: {allow: [scale, pin, restart, rollback], until: 12h}}
"""


def changes(lab: Lab, daemon: str) -> list[tuple[str, str]]:
    return [(one["field"], one["value"]) for one in lab.try_get(daemon, "changes")]


def counted(lab: Lab, daemon: str) -> tuple[object, ...]:
    """What a daemon tells of how many replicas there should be."""
    (service,) = lab.get(daemon, "services")
    return tuple(service.get(key) for key in ("desired", "planned", "local"))


def allow(lab: Lab) -> None:
    """The plan allows the site local changes, and all nodes know it."""
    lab.client(MASTER).apply(ALLOWING, "-", False)
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    wait_for(
        "all nodes know the plan",
        lambda: all(lab.get(n, "status")[0]["state"]["applied"] == counter for n in lab.nodes),
    )


def test_an_operator_scales_a_service_at_its_site_without_a_master(lab: Lab) -> None:
    settle(lab)
    allow(lab)
    master = lab.processes._started[MASTER]
    master.send_signal(signal.SIGSTOP)
    try:
        command = ("local", "scale", SERVICE, "3", "--reason", "a queue", "--for", "2h")
        out = lab.meshctl(*command, *lab.at("b"))
        assert out == f"{SERVICE} has scale = 3 at north for 2 h, or until a plan says " \
            "something else\n"  # fmt: skip
        lab.wait_serving("a", 3)
        out = lab.meshctl("explain", SERVICE, *lab.at("b"))
        assert "the plan allows 2 to 2" in out
        assert "scale = 3, by ann at this site, until " in out
        assert counted(lab, "b") == (3, 2, {"north": 3})
        wait_for("all know", lambda: all(changes(lab, n) == [("scale", "3")] for n in lab.nodes))
    finally:
        master.send_signal(signal.SIGCONT)
    wait_for("the master sees it", lambda: changes(lab, MASTER) == [("scale", "3")])
    assert counted(lab, MASTER) == (3, 2, {"north": 3})
    wait_for(
        "the master has the reason",
        lambda: any(
            (one["event"], one["cause"]) == ("change.began", "a queue")
            for one in lab.get(MASTER, "events")
        ),
    )
    found = json.loads(lab.meshctl("local", "ls", "-o", "json", *lab.at("c")))
    assert [(one["operator"], one["reason"]) for one in found] == [("ann", "a queue")]
    lab.meshctl("local", "end", SERVICE, "scale", "--reason", "it is over", *lab.at("a"))
    settle(lab)
    again = lab.run("meshctl", "local", "end", SERVICE, "scale", "--reason", "x", *lab.at("a"))
    assert "no local change of 'scale'" in again.err
    wait_for("the master sees that too", lambda: counted(lab, MASTER) == (2, None, None))


def test_what_is_not_allowed_is_refused_with_its_rule(lab: Lab) -> None:
    settle(lab)
    allow(lab)

    def refused(*arguments: str, at: str = "a") -> tuple[int, str]:
        done = lab.run("meshctl", "local", *arguments, *(lab.at(at) if at else ()))
        assert done.out == ""
        return done.code, done.err

    scale = ("scale", SERVICE, "3", "--reason", "x")
    code, text = refused(*scale, "--for", "13h")
    assert (code, "longer than the 12.0 h that autonomy.until allows" in text) == (4, True)
    code, text = refused(*scale, "--for", "soon")
    assert (code, "write a whole number and a unit: 30s" in text) == (2, True)
    code, text = refused("scale", "nobody", "3", "--reason", "x")
    assert (code, "no service 'nobody' is planned here" in text) == (1, True)
    code, text = refused("pin", SERVICE, "9.9.9", "--reason", "x")
    assert (code, "versions here: 1.0.0" in text) == (1, True)
    code, text = refused("scale", SERVICE, "3", "--reason", "x" * 201)
    assert (code, "reason" in text) == (2, True)
    code, text = refused(*scale, at="")
    assert (code, "at a node of the site" in text) == (4, True)
    assert changes(lab, "a") == changes(lab, "b")


def test_what_no_operator_signed_is_refused(lab: Lab) -> None:
    settle(lab)
    allow(lab)
    client = lab.client("a")
    body = LocalChange.FromString(client.draft_change(SERVICE, "scale", "1", 60, "theft"))
    thief = Signer(Ed25519PrivateKey.generate())
    for envelope in (b"", b"\x00" * 5000, thief.sign(KIND, body.SerializeToString())):
        with pytest.raises(Failure, match=r"no operator of this mesh signed it|at most 1024 bytes"):
            client.change(envelope)


def pids(lab: Lab) -> set[int]:
    return {pid for name in lab.nodes for pid in lab.pids(name, "worker")}


def test_an_operator_restarts_and_rolls_back_at_the_site_without_a_master(lab: Lab) -> None:
    settle(lab)
    allow(lab)
    folder = str(lab.folder / "model")
    lab.meshctl("model", "push", folder, "--name", "tiny", "--version", "3.0.0")
    new = SERVICE_YAML.format(replicas=2).replace("tiny@1.0.0", "tiny@3.0.0")
    lab.client(MASTER).apply(new.encode(), "-", False)

    def versions() -> set[str]:
        return {one["version"] for found in lab.serving("a").values() for one in found}

    wait_for("the new version serves", lambda: versions() == {"3.0.0"}, lambda: lab.serving("a"))
    master = lab.processes._started[MASTER]
    master.send_signal(signal.SIGSTOP)
    at = lab.at(sorted(lab.serving("a"))[0])
    try:
        before = pids(lab)
        out = lab.meshctl("local", "restart", SERVICE, "--reason", "it leaks", *at)
        assert out == f"{SERVICE} restarts at north, node by node\n"
        wait_for("all are new", lambda: len(pids(lab) - before) == 2 == len(pids(lab)))
        lab.wait_serving("a", 2)
        after = pids(lab)
        lab.meshctl("local", "end", SERVICE, "restart", "--reason", "it is done", *at)
        out = lab.meshctl("local", "rollback", SERVICE, "--reason", "it sees ghosts", *at)
        assert out.startswith(f"{SERVICE} has rollback = 1.0.0 at north for 2 h")
        assert pids(lab) >= after, "the end of a restart restarts nothing"
        wait_for("the old version serves", lambda: versions() == {"1.0.0"})
        out = " ".join(lab.meshctl("explain", SERVICE, *at).split())
        assert "version 1.0.0, by a change at this site; planned is 3.0.0" in out
        refused = lab.run("meshctl", "local", "pin", SERVICE, "3.0.0", "--reason", "x", *at)
        assert (refused.code, "a rollback of adder counts already" in refused.err) == (4, True)
        lab.meshctl("local", "end", SERVICE, "rollback", "--reason", "no ghosts", *at)
        wait_for("the planned version serves", lambda: versions() == {"3.0.0"})
        assert all(lab.infer(name) == [2.0] * 4 for name in lab.nodes)
    finally:
        master.send_signal(signal.SIGCONT)
        lab.apply(replicas=2)
    wait_for("as it was", lambda: versions() == {"1.0.0"})


def test_a_master_shows_what_was_restarted_at_a_site_as_what_it_is(lab: Lab) -> None:
    settle(lab)
    allow(lab)
    before, at = pids(lab), lab.at(sorted(lab.serving("a"))[0])
    lab.meshctl("local", "restart", SERVICE, "--reason", "it leaks", *at)
    wait_for("all are new", lambda: len(pids(lab) - before) == 2 == len(pids(lab)))

    def shown() -> set[tuple[str, str]]:
        return {(d["stage"], d["why"]) for d in lab.get(MASTER, "rollouts") if d["runs"]}

    restarted = {("passed", "local restarts: 1")}
    wait_for("the master shows it", lambda: shown() == restarted, shown)
    lab.meshctl("local", "end", SERVICE, "restart", "--reason", "it is done", *at)
    wait_for("it has ended",
        lambda: [d["value"] for d in lab.get(MASTER, "changes")] == ["as planned"],
    )  # fmt: skip
    assert shown() == restarted


def test_what_a_site_may_not_do_or_cannot_is_refused(lab: Lab) -> None:
    settle(lab)
    lab.client(MASTER).apply(ALLOWING.replace(b"restart, rollback", b"scale"), "-", False)
    counter = lab.get(MASTER, "status")[0]["state"]["seen"]
    wait_for("a knows", lambda: lab.get("a", "status")[0]["state"]["applied"] == counter)
    at = lab.at("a")
    done = lab.run("meshctl", "local", "restart", SERVICE, "--reason", "x", *at)
    assert (done.code, "not restart: a master's operator can add it" in done.err) == (4, True)
    client = lab.client("a")
    with pytest.raises(Failure, match="takes no value"):
        client.draft_change(SERVICE, "rollback", "1.0.0", 60, "x")
    with pytest.raises(Failure, match="takes no value"):
        client.draft_change(SERVICE, "restart", "7", 60, "x")
