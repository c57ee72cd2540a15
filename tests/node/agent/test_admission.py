"""Real daemons: a box is admitted at its site while the master is away, and who is revoked is shut
out of a whole site at once, on open streams, and after restarts too."""

import base64
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.heads.admission_request import open_request
from mesh.heads.identity import Identity
from node.admin.demo.processes import kill
from node.disk.authority_keys import NodeKeys
from tests.node.agent.lab import MASTER, MESH, SERVICE, SITE, Lab, wait_for

SHUT_OUT_S = 5.0
"""From when one node of the site knows of it."""
BAD_INPUT, REFUSED = 2, 4


@pytest.fixture(scope="module")
def site() -> Iterator[Lab]:
    """A master, three nodes that serve, and a delegation of two boxes in the folder `key`."""
    lab = Lab(Path(tempfile.mkdtemp(prefix="box")))
    try:
        lab.make_mesh()
        for name in "abc":
            lab.add_node(name)
            lab.start(name, wait=False)
        for name in "abc":
            lab.wait_ready(name)
        lab.apply(2)
        lab.wait_serving("a", 2)
        key = ["--out", str(lab.folder / "key")]
        lab.meshctl("delegate", "--site", SITE, "--count", "2", "--until", "30d", *key)
        wait_for("a knows who may admit", lambda: lab.try_get("a", "delegations"))
        yield lab
    finally:
        lab.close()
        shutil.rmtree(lab.folder, ignore_errors=True)


def request(lab: Lab, name: str) -> Path:
    """What a new box asks, in a file."""
    box = lab.add_node(name, join=False)
    done = lab.run("meshd", "node", "request", "--site", SITE, "--id", name, "--data",
                   str(box.data))  # fmt: skip
    assert done.code == 0, done
    file = lab.folder / f"{name}.request"
    file.write_text(done.out)
    assert open_request(done.out).node == name
    return file


def admit(lab: Lab, file: Path, *more: str) -> Any:
    """What `meshctl admit` says."""
    out = ["--with", str(lab.folder / "key"), "--out", str(file.with_suffix(".admission"))]
    return lab.run("meshctl", "admit", str(file), *out, *more)


def join(lab: Lab, name: str, file: Path) -> Any:
    """What `meshd node join` says of an admission."""
    data = str(lab.nodes[name].data)
    return lab.run("meshd", "node", "join", "--admission", str(file), "--data", data)


def live(lab: Lab, at: str) -> dict[str, dict[str, Any]]:
    """The nodes that live, as one of them sees it."""
    return {one["node"]: one for one in lab.try_get(at, "nodes") if one["live"] == "live"}


@contextmanager
def as_node(lab: Lab, thief: str, address: str, server: str) -> Iterator[Any]:
    """A silent stream of `thief`, by its own key, to a port of the node `server`."""
    keys = NodeKeys.load(lab.nodes[thief].data).tls
    credentials = grpc.ssl_channel_credentials(
        keys.authorities_pem, keys.key_pem, keys.certificate_pem
    )
    name = Identity(MESH, "node", server, SITE).dns_name
    options = [("grpc.ssl_target_name_override", name)]
    with grpc.secure_channel(address, credentials, options) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def watch(stub: Any) -> Any:
    """A stream on which one answer has come."""
    stream = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    next(stream)
    return stream


def ended(stream: Any) -> str:
    """How a silent stream ended."""
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    return str(caught.value.details())


def ports(lab: Lab, name: str) -> list[str]:
    """The peer port and the inference port between nodes."""
    (own,) = [one for one in lab.get(name, "nodes") if one["node"] == name]
    return [lab.nodes[name].address, own["inference_address"]]


def test_a_revoked_node_is_shut_out_of_the_whole_site_on_open_streams_and_after_restarts(
    site: Lab,
) -> None:
    thief = site.add_node("t")
    site.start("t")
    wait_for("it lives", lambda: "t" in live(site, "a"))
    site.kill_node("t")
    places = [(server, port) for server in "ab" for port in ports(site, server)]
    streams = []
    opened = [as_node(site, "t", port, server) for server, port in places]
    try:
        streams = [watch(one.__enter__()) for one in opened]
        site.meshctl("node", "revoke", "t", "--reason", "stolen")
        began = time.monotonic()
        for stream in streams:
            assert "t was revoked" in ended(stream)
        assert time.monotonic() - began <= SHUT_OUT_S
    finally:
        for one in opened:
            one.__exit__(None, None, None)
    site.kill_node("a")
    site.start("a")
    site.wait_answer("a")
    for port in ports(site, "a"):
        with as_node(site, "t", port, "a") as stub, pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    site.nodes.pop(thief.name)


def test_a_box_is_admitted_without_a_master_and_is_a_node_like_any_other(site: Lab) -> None:
    site.hang_up(MASTER)
    kill(site.master_data)
    site.kill_node("c")
    file = request(site, "d")
    assert request_is_the_same(site, "d", file)
    altered = file.with_name("altered")
    altered.write_text(_altered(file.read_text()))
    for wrong, code, says in (
        (altered, BAD_INPUT, "altered, or copied in part"),
        (site.folder / "nothing", BAD_INPUT, "No such file"),
    ):
        done = admit(site, wrong)
        assert (done.code, says in done.err) == (code, True), done
    assert admit(site, file, "--replaces", "nobody", *site.at("a")).code == BAD_INPUT
    assert "a lives" in admit(site, file, "--replaces", "a", *site.at("a")).err
    wait_for("a knows that c is gone", lambda: "c" not in live(site, "a"))
    done = admit(site, file, "--replaces", "c", *site.at("a"))
    assert (done.code, "number 1 of 2" in done.out) == (0, True), done
    assert join(site, "d", file).code == BAD_INPUT  # a request is no admission
    done = join(site, "d", file.with_suffix(".admission"))
    assert (done.code, "is a node of the site north" in done.out) == (0, True), done
    site.start("d")
    wait_for("its neighbours count it in", lambda: all("d" in live(site, n) for n in "ab"))
    assert live(site, "a")["d"]["admitted"].startswith("ann (")
    site.wait_answer("d")
    site.wait_serving("a", 2, without="c")
    explained = site.meshctl("explain", SERVICE, *site.at("a"))
    assert "it is revoked: d takes its place" in " ".join(explained.split())
    site.start("c", wait=False)  # whoever has it now
    wait_for("it finds nobody", lambda: "is revoked" in site.log("a") or "c" not in live(site, "a"))
    assert "c" not in live(site, "a")
    asked = ("meshctl", "alarms", *site.at("c"))
    wait_for("and says why", lambda: "d takes its place" in site.run(*asked).out)


def request_is_the_same(lab: Lab, name: str, file: Path) -> bool:
    """Whether the box asks by the same keys again."""
    done = lab.run("meshd", "node", "request", "--site", SITE, "--id", name, "--data",
                   str(lab.nodes[name].data))  # fmt: skip
    one, other = open_request(done.out), open_request(file.read_text())
    return (one.tls_key, one.signing_key) == (other.tls_key, other.signing_key)


def _altered(text: str) -> str:
    version, _, encoded = text.strip().partition(".")
    envelope = base64.urlsafe_b64decode(encoded).replace(b"north", b"south")
    return f"{version}.{base64.urlsafe_b64encode(envelope).decode()}"


def test_with_no_network_at_all_a_box_is_admitted_by_what_the_folder_knows(site: Lab) -> None:
    first, second = request(site, "e"), request(site, "f")
    done = admit(site, first)
    assert (done.code, "number 2 of 2" in done.out) == (0, True), done
    again = admit(site, first)
    assert (again.code, again.out) == (0, done.out)
    done = admit(site, second)
    assert (done.code, "is used up" in done.err) == (REFUSED, True), done
    assert join(site, "f", first.with_suffix(".admission")).code == BAD_INPUT  # of another box
    assert join(site, "e", first.with_suffix(".admission")).code == 0
    site.start("e")
    wait_for("it lives", lambda: {"a", "b", "d", "e"} <= live(site, "a").keys())
    site.wait_answer("e")


def test_the_master_takes_in_what_the_site_did_without_it(site: Lab) -> None:
    site.start_master()
    wait_for(
        "the master has both boxes",
        lambda: {"d", "e"} <= {n["node"] for n in site.try_get(MASTER, "nodes") if n.get("boot")},
        lambda: site.log(MASTER)[-2000:],
    )
    nodes = {one["node"]: one for one in site.get(MASTER, "nodes")}
    assert nodes["d"]["admitted"].startswith("ann (")
    assert "d takes its place" in nodes["c"]["revoked"]
    (delegation,) = site.get(MASTER, "delegations")
    assert delegation["used"] == [1, 2]
    told = [one for one in site.get(MASTER, "events", MASTER) if one["event"] == "node.admitted"]
    assert sorted(one["subject"] for one in told) == ["d", "e"]  # whichever was met first
    wait_for(
        "their journals are there",
        lambda: site.try_get(MASTER, "events", "d") and site.try_get(MASTER, "events", "e"),
    )
    ended = site.run("meshctl", "delegate", "--end", delegation["id"], "--reason", "used up")
    assert ended.code == 0, ended
    wait_for("a knows", lambda: site.try_get("a", "delegations")[0]["ended"])
    assert {"d", "e"} <= live(site, "a").keys()  # they are of the roster now
    assert SERVICE in {one["workload"] for one in site.get("d", "workloads")}
