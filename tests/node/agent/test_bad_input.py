"""What the issue lists as bad input, given to real processes: a clear message, nothing lost."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from mesh.heads.tokens import parse_token
from node.admin.demo.audit import Place, read_copy
from node.admin.demo.processes import kill, program
from node.disk.authority_folder import initialise
from protos.inference_pb2 import ModelInferRequest
from protos.inference_pb2_grpc import GRPCInferenceServiceStub
from tests.node.agent.lab import MASTER, SERVICE, SERVICE_YAML, Lab, Node, wait_for


def refused(lab: Lab, node: Node, token: str) -> tuple[int, str]:
    """Joining with that token is refused, and leaves nothing."""
    done = lab.join(node, token)
    assert not (node.data / "keys").exists()
    return done.code, done.err


def machine(lab: Lab, name: str) -> Node:
    """A machine that is not a node."""
    config = lab.folder / f"{name}.toml"
    config.write_text("")
    return Node(name, lab.folder / name, config, "")


def alarms(lab: Lab, daemon: str, kind: str) -> list[str]:
    """The messages of the alarms of a kind that a daemon knows of."""
    return [one["message"] for one in lab.try_get(daemon, "alarms", kind)]


def held(data: Path, scratch: Path) -> dict[Place, bytes]:
    """The records in a daemon's folder: each one's place and digest."""
    return read_copy(data, scratch / "copies").digests


def flip(path: Path) -> None:
    """One bit in the middle of a file on disk turns."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(lab: Lab, name: str) -> None:
    """A node of one test goes for good: the mesh is what it was."""
    lab.kill_node(name)
    process = lab.nodes.pop(name).process
    if process is not None:
        process.wait(20)
    lab.client(MASTER).revoke(name, "its test is over")


# ---- resources ----


def test_yaml_is_refused_by_line_and_column_all_or_nothing(lab: Lab, tmp_path: Path) -> None:
    before = lab.get(MASTER, "services")
    good = SERVICE_YAML.format(replicas=2).replace("name: adder", "name: other")
    bad = tmp_path / "bad.yaml"
    bad.write_text(good + "---\napiVersion: mesh/v1\nkind: Servise\nmetadata: {name: x}\n")
    done = lab.run("meshctl", "apply", "-f", str(bad))
    assert done.code == 2
    assert "bad.yaml:17:7" in done.err
    assert "Service" in done.err
    assert lab.get(MASTER, "services") == before


# ---- tokens ----


def test_a_used_token(lab: Lab) -> None:
    token = lab.token()
    parsed = parse_token(token)
    lab.nodes["t"] = machine(lab, "t")
    assert lab.join(lab.nodes["t"], token).code == 0
    code, text = refused(lab, machine(lab, "u"), token)
    assert code == 4
    assert "used" in text
    assert parsed.id not in [one["id"] for one in lab.get(MASTER, "tokens") if not one["used_by"]]
    lab.nodes.pop("t")
    lab.client(MASTER).revoke("t", "its test is over")


def test_a_truncated_token_is_sent_nowhere(lab: Lab) -> None:
    code, text = refused(lab, machine(lab, "u"), lab.token()[:-7])
    assert code == 2
    assert "token" in text


def test_a_wrong_pin_keeps_the_secret_here(lab: Lab) -> None:
    token = lab.token()
    head, _, pin = token.rpartition(".")
    other = pin[:-2] + ("00" if pin[-2:] != "00" else "11")
    code, text = refused(lab, machine(lab, "u"), f"{head}.{other}")
    assert code == 2
    assert "The secret was not sent" in text
    assert lab.join(machine(lab, "v"), token).code == 0  # the token was not used up
    lab.client(MASTER).revoke("v", "its test is over")


def test_an_id_that_is_taken_and_a_folder_that_is_enrolled(lab: Lab) -> None:
    taken = machine(lab, "a")
    taken.data = lab.folder / "another-a"
    code, text = refused(lab, taken, lab.token())
    assert code == 4
    assert "'a'" in text
    done = lab.join(lab.nodes["a"], lab.token())
    assert done.code == 2
    assert "this machine is enrolled" in done.err


def test_a_master_that_is_not_there(lab: Lab) -> None:
    node = machine(lab, "u")
    arguments = ["--master", "127.0.0.1:1", "--token", lab.token(), "--data", str(node.data)]
    done = lab.run("meshd", "node", "join", *arguments, "--config", str(node.config))
    assert done.code == 3
    assert "127.0.0.1:1" in done.err
    assert not node.data.exists()


# ---- inference ----


@pytest.mark.parametrize(
    ("service", "name", "shape", "code"),
    [
        ("nobody", "x", [1, 4], grpc.StatusCode.NOT_FOUND),
        (SERVICE, "z", [1, 4], grpc.StatusCode.INVALID_ARGUMENT),
        (SERVICE, "x", [4, 1], grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["an unknown model", "a wrong name", "a wrong shape"],
)
def test_a_bad_request_has_the_same_code_at_every_node(
    lab: Lab, service: str, name: str, shape: list[int], code: grpc.StatusCode
) -> None:
    request = ModelInferRequest(model_name=service)
    request.inputs.add(name=name, datatype="FP32", shape=shape)
    request.raw_input_contents.append(bytes(16))
    for node in lab.nodes:
        lab.wait_answer(node)
        with (
            grpc.insecure_channel(lab.inference_address(node)) as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=5.0)
        assert refused.value.code() is code, refused.value
        lab.wait_answer(node)


# ---- starting ----


def test_a_configuration_with_an_unknown_key(lab: Lab) -> None:
    node = machine(lab, "u")
    node.config.write_text('[peer]\nadvertize = "x"\n')
    done = lab.run("meshd", "node", "--config", str(node.config), "--data", str(node.data))
    assert done.code == 2
    assert "did you mean 'advertise'?" in done.err


def test_a_machine_that_is_not_enrolled(lab: Lab) -> None:
    node = machine(lab, "u")
    done = lab.run("meshd", "node", "--config", str(node.config), "--data", str(node.data))
    assert done.code == 2
    assert "to enrol this machine: meshd node join" in done.err


def test_a_port_in_use(lab: Lab) -> None:
    node = lab.add_node("p")
    with socket.socket() as taken:
        host, port = node.address.split(":")
        taken.bind((host, int(port)))
        taken.listen()
        arguments = ["--config", str(node.config), "--data", str(node.data)]
        done = lab.run("meshd", "node", *arguments)
        assert done.code == 1
        assert f"cannot listen on {node.address}: the port is in use" in done.err
        assert "Traceback" not in done.err
    lab.start("p")
    remove(lab, "p")


def test_the_runtimes_port_in_use_is_an_alarm_that_names_it(lab: Lab) -> None:
    node = lab.add_node("p2")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = node.config.read_text()
        node.config.write_text(text.replace('listen = "127.0.0.1:0"', f'listen = "{address}"', 1))
        lab.start("p2", wait=False)
        wait_for("an alarm", lambda: alarms(lab, "p2", "Runtime"), lambda: lab.log("p2"))
        assert f"cannot listen on {address}" in alarms(lab, "p2", "Runtime")[0]
    lab.wait_ready("p2")
    wait_for("the alarm is over", lambda: not alarms(lab, "p2", "Runtime"))
    remove(lab, "p2")


def test_a_folder_that_a_daemon_has_or_that_is_another_meshs(lab: Lab, tmp_path: Path) -> None:
    node = lab.nodes["a"]
    arguments = ["node", "--config", str(node.config), "--data"]
    done = lab.run("meshd", *arguments, str(node.data))
    assert done.code == 2
    assert "another daemon has it" in done.err
    other = initialise(tmp_path / "other", "othermesh", "master-1", "bob").master
    shutil.copytree(lab.master_data / "documents", other / "documents")
    for name in ("format.doc", "format.old"):
        if (lab.master_data / name).exists():
            shutil.copy(lab.master_data / name, other / name)
    done = lab.run("meshd", "master", "--config", str(node.config), "--data", str(other))
    assert done.code == 2
    assert "belongs to 'master-1' of the mesh 'lab', not to 'master-1' of 'othermesh'" in done.err
    assert "give this one another folder with --data" in done.err


# ---- disks ----


def test_bits_that_flip_on_disk_are_said_and_the_rest_is_kept(lab: Lab, tmp_path: Path) -> None:
    node = lab.add_node("f")
    lab.start("f")
    documents = node.data / "documents"
    wait_for("it has the plan", lambda: (documents / "state-applied.doc").exists())
    lab.wait_answer("f")
    wait_for(
        "others have its history",
        lambda: held(node.data, tmp_path).items() <= held(lab.master_data, tmp_path).items(),
    )
    lab.kill_node("f")
    before = held(node.data, tmp_path)
    for path in documents.glob("state-applied.*"):
        flip(path)
    flip(next(one for one in (node.data / "blobs" / "small").iterdir() if one.stat().st_size))
    own = next(path for path in (node.data / "journals" / "f").iterdir() if "record" in path.name)
    flip(sorted(own.iterdir())[-1])
    lab.start("f")
    lab.wait_answer("f")
    found = alarms(lab, "f", "Damaged")
    assert any("'state-applied' and the copy before it are damaged" in text for text in found)
    assert any("entries on the disk are damaged" in text for text in found)
    after = held(node.data, tmp_path)
    lost = {place: digest for place, digest in before.items() if after.get(place) != digest}
    assert lost
    assert len(lost) < len(before)
    wait_for("it has the plan again", lambda: (documents / "state-applied.doc").exists())
    wait_for(
        "the master has what was damaged here",
        lambda: lost.items() <= held(lab.master_data, tmp_path).items(),
    )
    remove(lab, "f")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run it as root")
def test_a_full_disk_while_fetching(lab: Lab, tmp_path: Path) -> None:
    node = lab.add_node("full", join=False)
    node.data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(node.data)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here: run it where that is allowed")
    try:
        assert lab.join(node, lab.token()).code == 0
        answering = lab.pids("a", "runtime")
        (tmp_path / "map.bin").write_bytes(os.urandom(1 << 20))
        push = ["model", "push", str(tmp_path / "map.bin"), "--name", "map", "--version", "1.0.0"]
        lab.meshctl(*push)
        lab.client(MASTER).apply(
            b"apiVersion: mesh/v1\nkind: Model\nmetadata: {name: map}\n"
            b"spec: {version: 1.0.0, stage: {sites: [north]}}\n",
            "-",
            False,
        )
        lab.start("full")
        wait_for("an alarm", lambda: alarms(lab, "full", "Disk"), lambda: lab.log("full"))
        assert "are kept for state and journals: free space on the disk" in str(
            alarms(lab, "full", "Disk")
        )
        lab.wait_answer("full")  # through its neighbours
        assert lab.pids("a", "runtime") == answering
        subprocess.run(["mount", "-o", "remount,size=400m", str(node.data)], check=True)
        wait_for(
            "it goes on",
            lambda: any(
                one["name"] == "map" and one["complete"] for one in lab.try_get("full", "artifacts")
            ),
            lambda: lab.try_get("full", "artifacts"),
        )
        wait_for("the alarm is over", lambda: not alarms(lab, "full", "Disk"))
        remove(lab, "full")
    finally:
        if "full" in lab.nodes:
            lab.kill_node("full")
        subprocess.run(["umount", "-l", str(node.data)], check=False)


def test_two_machines_with_one_disk(lab: Lab) -> None:
    node = lab.add_node("twin")
    lab.start("twin")
    wait_for("it is known", lambda: lab.try_get("a", "nodes", "twin"))
    lab.kill_node("twin")
    copy = Node("twin", lab.folder / "twin-copy", lab.folder / "twin-copy.toml", "")
    shutil.copytree(node.data, copy.data, ignore=shutil.ignore_patterns("run"))
    copy.config.write_text(node.config.read_text().replace(node.address, "127.0.0.1:0"))
    lab.start("twin", wait=False)
    command = ["--config", str(copy.config), "--data", str(copy.data)]
    process = lab.processes.start("twin-copy", [*program("meshd"), "node", *command])
    wait_for("an alarm", lambda: alarms(lab, "a", "Clone"), lambda: lab.get("a", "alarms"))
    assert "switch one off, enrol it anew with a new ID" in alarms(lab, "a", "Clone")[0]
    kill(copy.data)
    process.wait(20)
    remove(lab, "twin")


# ---- shutting out ----


def test_a_revoked_node_is_cut_off_at_once_and_stays_so(lab: Lab, tmp_path: Path) -> None:
    lab.add_node("r")
    lab.start("r")
    wait_for("it is linked", lambda: len(lab.get("r", "status")[0]["peers"]) >= 2)
    at = time.monotonic()
    done = lab.run("meshctl", "node", "revoke", "r", "--reason", "stolen")
    assert done.code == 0, done
    revoked = time.monotonic()
    wait_for(
        "no node is linked with it",
        lambda: (
            not any(
                peer["id"] == "r"
                for name in ("a", "b")
                for peer in lab.get(name, "status")[0]["peers"]
            )
        ),
    )
    assert time.monotonic() - revoked < 5, time.monotonic() - at
    lab.nodes["b"].process.send_signal(signal.SIGKILL)  # type: ignore[union-attr]
    lab.start("b")
    wait_for(  # by then it has dialled who it knows
        "it is linked with the others",
        lambda: {"a", "c"} <= {peer["id"] for peer in lab.try_get("b", "status")[0]["peers"]},
    )
    for name in ("a", "b"):
        assert not any(peer["id"] == "r" for peer in lab.get(name, "status")[0]["peers"])
    lab.kill_node("r")
    lab.start("r")
    wait_for(
        "it is told why, and shows it",
        lambda: "stolen" in lab.get("r", "status")[0]["wan"]["why_not"],
        lambda: lab.log("r"),
    )
    lab.kill_node("r")
    node = lab.nodes.pop("r")
    assert node.process is not None
    node.process.wait(20)
    copies = [read_copy(one.data, tmp_path / "nodes") for one in lab.nodes.values()]
    told = {place for held in copies for place in held.digests if place[0].node == "r"}
    assert told
    wait_for(
        "the master has its history as far as others have it",
        lambda: told <= read_copy(lab.master_data, tmp_path / "master").digests.keys(),
    )
