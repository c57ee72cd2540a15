"""What a master and a node answer to whoever asks them, with no runtime and no service at work."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import open_manifest, seal
from mesh.hashing import sha256
from mesh.signed import Signer
from node.admin import push
from node.admin.dialling import open_channel
from node.admin.failures import Failure
from node.admin.model_folder import Source, SourceFile
from node.disk.authority_keys import OperatorKeys
from protos import admin_pb2 as pb
from protos.admin_pb2_grpc import AdminStub
from tests.node.agent.lab import MASTER, SERVICE_YAML, Lab, wait_for

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    """A master, the node a which serves nothing, the node b which joined and never came."""
    folder = Path(tempfile.mkdtemp(prefix="pair"))
    made = Lab(folder)
    try:
        made.make_mesh()
        made.add_node("a")
        made.add_node("b")
        made.start("a")
        wait_for(
            "the master has heard of a",
            lambda: any(d.get("live") == "live" for d in made.get(MASTER, "nodes")),
            lambda: made.get(MASTER, "nodes"),
        )
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def operator(pair: Lab) -> OperatorKeys:
    return OperatorKeys.load(pair.folder / "mesh" / "operator")


@contextmanager
def stub_of(pair: Lab, daemon: str) -> Iterator[Any]:
    """A daemon asked without the client, which would not even ask a node to change anything."""
    with open_channel(pair.client(daemon).target, operator(pair).tls) as channel:
        yield AdminStub(channel)


@pytest.fixture
def node(pair: Lab) -> Iterator[Any]:
    """The node a."""
    with stub_of(pair, "a") as stub:
        yield stub


def test_a_node_that_never_came_is_unknown_not_dead(pair: Lab) -> None:
    found = {one["node"]: one["live"] for one in pair.get(MASTER, "nodes")}
    assert found == {"a": "live", "b": "unknown"}
    (site,) = pair.get(MASTER, "sites")
    assert site["out_of_sync"] == []
    assert (site["nodes"], site["live"], site["wan"], site["gateway"]) == (2, 1, "up", "a")


def test_a_token_is_listed_until_it_is_used(pair: Lab) -> None:
    token = pair.token("south")
    (listed,) = (one for one in pair.get(MASTER, "tokens") if one["site"] == "south")
    assert token.split(".")[1] == listed["id"]
    assert listed["used_by"] == ""


def unseen(_: int) -> None:
    """Progress that nobody looks at."""


def artifact_of(folder: Path, content: bytes, name: str) -> tuple[Source, push.Label]:
    (folder / name).write_bytes(content)
    return Source("data", [SourceFile("data", folder / name)]), push.Label(name, "1", 1 << 20, 1000)


def test_a_push_that_breaks_off_goes_on_and_only_the_whole_is_released(
    pair: Lab, tmp_path: Path
) -> None:
    master = pair.client(MASTER)
    content = bytes(range(256)) * 1024
    source, label = artifact_of(tmp_path, content, "map")
    signer = operator(pair).release_signer
    artifact = push.build(source, label, signer, unseen)
    every = [chunk.index for chunk in artifact.chunks]
    assert len(every) > 1
    with pytest.raises(Failure, match="no manifest of this artifact was pushed here"):
        master.release(artifact.digest)
    assert list(master.push_manifest(artifact.envelope).missing) == every
    with pytest.raises(Failure, match="still lacks"):
        push.send(master, source, artifact, every[:1], unseen)
    text = f"{len(every) - 1} chunks are missing, the first is 1; push it again to go on"
    with pytest.raises(Failure, match=text) as early:
        master.release(artifact.digest)
    assert early.value.exit_code == 4
    assert list(master.push_manifest(artifact.envelope).missing) == every[1:]
    wrong = pb.PushChunk(artifact=artifact.digest, chunk=every[1], data=b"something else")
    with pytest.raises(Failure, match="chunk"):
        master.push_chunks([wrong])
    push.send(master, source, artifact, every[1:], unseen)
    counter = master.release(artifact.digest).counter
    (listed,) = (one for one in pair.get(MASTER, "artifacts") if one["name"] == "map")
    assert (listed["complete"], listed["bytes"], listed["nodes"]) == (True, len(content), 0)
    assert pair.get(MASTER, "status")[0]["state"]["seen"] == counter


def test_a_manifest_that_is_signed_by_a_stranger_is_refused(pair: Lab, tmp_path: Path) -> None:
    stranger = Signer(Ed25519PrivateKey.generate())
    source, label = artifact_of(tmp_path, b"data", "strange")
    artifact = push.build(source, label, stranger, unseen)
    with pytest.raises(Failure) as refused:
        pair.client(MASTER).push_manifest(artifact.envelope)
    assert refused.value.exit_code == 2
    assert all(one["name"] != "strange" for one in pair.get(MASTER, "artifacts"))


def test_a_manifest_that_contradicts_itself_is_never_released(pair: Lab, tmp_path: Path) -> None:
    master, signer = pair.client(MASTER), operator(pair).release_signer
    source, label = artifact_of(tmp_path, b"one thing", "contradiction")
    manifest = push.build(source, label, signer, unseen).manifest
    manifest.files[0].digest = sha256(b"another thing")
    wrong = open_manifest(seal(manifest, signer), [signer.public_key])
    master.push_manifest(wrong.envelope)
    push.send(master, source, wrong, [0], unseen)
    with pytest.raises(Failure, match="not what the manifest says; make the artifact anew"):
        master.release(wrong.digest)
    assert all(one["name"] != "contradiction" for one in pair.get(MASTER, "artifacts"))


def test_yaml_that_is_wrong_is_the_askers_fault(pair: Lab) -> None:
    text = SERVICE_YAML.format(replicas=1).split("---\n")[1].replace("tiny", "no-such")
    with pytest.raises(Failure, match="there is no Model 'no-such'") as refused:
        pair.client(MASTER).apply(text.encode(), "faces.yaml", False)
    assert refused.value.exit_code == 2


def watched(pair: Lab, daemon: str, kind: str) -> Iterator[list[dict[str, Any]]]:
    """What a watch of the daemon gives, with a deadline."""
    with stub_of(pair, daemon) as stub:
        for reply in stub.Watch(pb.GetRequest(kind=kind), timeout=TIMEOUT_S):
            yield [json.loads(document) for document in reply.documents]


def site_yaml(name: str) -> bytes:
    return f"apiVersion: mesh/v1\nkind: Site\nmetadata: {{name: {name}}}\n".encode()


@pytest.mark.parametrize("daemon", [MASTER, "a"])
def test_a_watch_gives_the_list_at_once_also_an_empty_one_and_again_when_it_changes(
    pair: Lab, daemon: str
) -> None:
    watch = watched(pair, daemon, "services")
    before = [one["name"] for one in next(watch)]
    assert len(before) == (0 if daemon == MASTER else 1), "the first of these tests makes one"
    yaml = SERVICE_YAML.format(replicas=1).replace("adder", f"of-{daemon}")
    pair.client(MASTER).apply(yaml.encode(), "-", False)
    assert f"of-{daemon}" in [one["name"] for one in next(watch)]


def test_a_watch_of_events_gives_what_was_then_the_new_ones_alone(pair: Lab) -> None:
    watch = watched(pair, MASTER, "events")
    first = [(one["node"], one["kind"], one["sequence"]) for one in next(watch)]
    assert first
    pair.client(MASTER).apply(site_yaml("east"), "-", False)
    news = [(one["node"], one["kind"], one["sequence"]) for one in next(watch)]
    assert news
    assert not set(news) & set(first)


def test_a_node_tells_its_own_site_and_its_rollouts(pair: Lab) -> None:
    wait_for("it goes by the newest", lambda: pair.get("a", "sites")[0]["out_of_sync"] == [])
    (site,) = pair.get("a", "sites")
    assert (site["site"], site["live"], site["gateway"]) == ("north", 1, "a")
    for daemon in (MASTER, "a"):
        rollouts = pair.get(daemon, "rollouts")
        assert {one["site"] for one in rollouts} <= {"north"}


CHANGES = {
    "Apply": pb.ApplyRequest(yaml=b"x", source="-"),
    "Delete": pb.DeleteRequest(kind="Service", name="adder"),
    "CreateToken": pb.CreateTokenRequest(site="north", valid_s=60),
    "PushManifest": pb.PushManifestRequest(manifest=b"x"),
    "Release": pb.ReleaseRequest(artifact=bytes(32)),
    "Revoke": pb.RevokeRequest(node="b", reason="stolen"),
}


@pytest.mark.parametrize("method", CHANGES)
def test_a_node_changes_nothing_whoever_asks(node: Any, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        getattr(node, method)(CHANGES[method], timeout=TIMEOUT_S)
    assert "only a master can" in refused.value.details()


def test_a_node_takes_no_chunks(node: Any) -> None:
    part = pb.PushChunk(artifact=bytes(32), chunk=0, data=b"x")
    with pytest.raises(grpc.RpcError) as refused:
        node.PushChunks(iter([part]), timeout=TIMEOUT_S)
    assert "only a master can take models" in refused.value.details()


def test_a_node_restarts_nothing_of_another_site(pair: Lab) -> None:
    with pytest.raises(Failure, match="this node is of the site 'north'"):
        pair.client("a").restart("adder", "south", "")
    with pytest.raises(Failure, match="no replica of 'adder' runs on a"):
        pair.client("a").restart("adder", "", "")
