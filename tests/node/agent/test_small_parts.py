"""The agent's small parts: book, machine, files for other programs, events and site documents."""

import json
from pathlib import Path

import pytest

from mesh.heads.revocations import Revoked
from mesh.registers.store import NodeKeys, Registers
from node.agent import book, site_documents
from node.agent.book import Book
from node.agent.config import NodeSection
from node.agent.event_log import events
from node.agent.folder_files import ready_path, remove_ready, try_write_ready, write_ready
from node.agent.looks import named
from node.agent.machine import capacity
from node.disk.files import Disk
from protos.documents_pb2 import (
    Boot,
    ModelPlan,
    Phase,
    PipelinePlan,
    PipelineState,
    Plan,
    ReplicaState,
    ServicePlan,
    SiteBranch,
    StableRegister,
)
from tests.node.agent.stores import Writer, make_stores
from tests.sim import identities


def check(der: bytes) -> NodeKeys:
    """What the certificates of the test mesh say; of others nothing."""
    for name in ("a", "b", "c"):
        identity = identities.node_identity("north", name)
        if identities.certificate(identity).der == der:
            return identities.node_keys("north", name)
    raise ValueError("a stranger")


def body(name: str, **more: object) -> StableRegister:
    """A register that says where the node is."""
    certificate = identities.certificate(identities.node_identity("north", name)).der
    return StableRegister(
        node=name,
        site="north",
        boot=Boot(counter=1, nonce=b"n" * 8),
        version=1,
        certificate=certificate,
        peer_address=f"10.0.0.{ord(name) - 96}:7400",
        **more,  # type: ignore[arg-type]
    )


def registers(*bodies: StableRegister) -> Registers:
    """The registers of a site, as their nodes signed them."""
    made = Registers("north", check)
    for one in bodies:
        signer = identities.signer(identities.node_identity("north", one.node).uri)
        made.publish(one, signer, identities.node_keys("north", one.node))
    return made


# ---- book ----


def test_who_is_dialled_and_where_the_best_address_first() -> None:
    made = Book(identities.MESH, "north", ["b@h:1", "d@h:2"])
    made.hint("b", ["h:3", "10.0.0.2:7400"])
    made.hint("e", ["h:4", "h:5", "h:6", "h:7", "h:8"])
    made.hint("BAD NAME", ["h:9"])
    found = {i.name: addresses for i, addresses in made.targets(registers(body("b")))}
    assert found == {
        "b": ["10.0.0.2:7400", "h:3", "h:1"],
        "d": ["h:2"],
        "e": ["h:4", "h:5", "h:6", "h:7"],
    }


def test_registers_are_remembered_and_what_is_refused_now_is_left_out() -> None:
    kept = book.remember(registers(body("a"), body("b"), body("c")))
    found = Registers("north", check)
    book.recall(kept, found, "c")
    assert [record.body.node for record in found.records()] == ["a", "b"]

    def none(der: bytes) -> NodeKeys:
        raise ValueError("revoked")

    found = Registers("north", none)
    book.recall(kept, found, "c")
    assert found.records() == []
    book.recall(None, found, "c")
    assert found.records() == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    full = registers(body("a"), body("b"))
    one = len(book.remember(registers(body("a"))))
    monkeypatch.setattr(book, "REMEMBERED_BYTES_MAX", one + 20)
    assert len(book.remember(full)) == one


# ---- machine ----


def test_capacity_is_what_is_configured_or_the_machine_has() -> None:
    said = capacity(NodeSection(cores=3, memory="2GiB", devices=["GPU"]))
    assert (said.cores, said.memory_bytes, list(said.devices)) == (3, 2 << 30, ["GPU"])
    found = capacity(NodeSection())
    assert found.cores >= 1
    assert found.memory_bytes > 1 << 20


# ---- files for other programs ----


def test_the_file_that_says_where_a_daemon_listens(tmp_path: Path) -> None:
    remove_ready(tmp_path)
    (tmp_path / "run").write_text("in the way")
    assert not try_write_ready(tmp_path, {"pid": 1})
    (tmp_path / "run").unlink()
    assert try_write_ready(tmp_path, {"pid": 1})
    write_ready(tmp_path, {"pid": 2})
    assert json.loads(ready_path(tmp_path).read_text()) == {"pid": 2}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["ready.json"]
    remove_ready(tmp_path)
    assert not ready_path(tmp_path).exists()


# ---- events ----


def test_events_of_all_logs_by_time_and_the_latest_of_them(tmp_path: Path) -> None:
    store = make_stores(tmp_path, Disk()).journals
    first, data, other = Writer("a"), Writer("a", "data"), Writer("b", counter=2)
    store.append([first.batch("one", "two"), first.batch("three"), data.batch("d")])
    store.append([other.batch("other")])
    store.flush()
    found = events(store, {"a": "north"})
    told = [(e["node"], e["kind"], e["sequence"], e["event"]) for e in found]
    assert sorted(told) == [
        ("a", "data", 1, "d"),
        ("a", "record", 1, "one"),
        ("a", "record", 2, "two"),
        ("a", "record", 3, "three"),
        ("b", "record", 1, "other"),
    ]
    assert [place[0] for place in told] == ["a"] * 4 + ["b"]
    assert {e["site"] for e in found} == {"north", ""}
    assert [e["event"] for e in events(store, {}, "b")] == ["other"]
    assert len(events(store, {}, limit=2)) == 2


# ---- site documents ----


def served(phase: Phase = Phase.SERVING, workload: str = "faces") -> ReplicaState:
    return ReplicaState(
        workload=workload, index=0, config="c", phase=phase, model="m", model_version="1.0.0"
    )


def test_a_node_as_a_document() -> None:
    record = registers(body("a", replicas=[served(), served(Phase.LOADING)])).records()[0]
    document = site_documents.node_document(record, "live", True, Revoked(), 5)
    assert document["node"] == "a"
    assert document["replicas"] == 1
    assert document["heard"] == 5
    assert "revoked" not in document


def test_workloads_as_documents() -> None:
    pipeline = PipelineState(workload="door", phase=Phase.SERVING)
    found = site_documents.workload_documents(body("a", replicas=[served()], pipelines=[pipeline]))
    assert [(d["kind"], d["phase"]) for d in found] == [
        ("service", "serving"),
        ("pipeline", "running"),
    ]
    assert site_documents.pipeline_phase(Phase.LOADING) == "loading"
    pending = site_documents.pending_documents("north", {"b": "no memory", "a": "no node"})
    assert [d["workload"] for d in pending] == ["a", "b"]


def test_the_resources_behind_a_plan() -> None:
    plan = Plan(
        site="north",
        models=[ModelPlan(name="m", version="1.0.0", staged=True)],
        services=[
            ServicePlan(name="faces", model="m", model_version="1.0.0", replicas_min=2),
        ],
        pipelines=[PipelinePlan(name="door", source="cam", service="faces", every_ms=200)],
    )
    branch = SiteBranch(site="north", plan=plan)
    found = site_documents.plan_documents(branch, plan, 7, [body("a", replicas=[served()])])
    assert [(d["kind"], d["name"]) for d in found] == [
        ("Model", "m"),
        ("Service", "faces"),
        ("Pipeline", "door"),
        ("Site", "north"),
    ]
    assert (found[1]["desired"], found[1]["serving"]) == (2, 1)
    assert {d["generation"] for d in found} == {7}


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        pytest.param("artifacts", "faces", [1, 2], id="all versions"),
        pytest.param("artifacts", "faces@2", [2], id="one version"),
        pytest.param("artifacts", "faces@3", [], id="no such version"),
        pytest.param("models", "faces@2", [], id="of artifacts alone"),
        pytest.param("artifacts", "", [1, 2, 3], id="all"),
    ],
)
def test_an_artifact_is_named_as_it_is_pushed(kind: str, name: str, found: list[int]) -> None:
    documents = [
        {"name": "faces", "version": "1", "bytes": 1},
        {"name": "faces", "version": "2", "bytes": 2},
        {"name": "map", "version": "2", "bytes": 3},
    ]
    assert [document["bytes"] for document in named(kind, documents, name)] == found
