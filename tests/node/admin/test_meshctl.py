"""`meshctl` against real servers over mutual TLS: what it prints, what it sends, how it ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.admin import contexts
from tests.node.admin.support import MemoryBackend, World, master_at, node_at, serving

SERVICE = b"""apiVersion: mesh/v1
kind: Service
metadata: {name: faces}
spec:
  sites: [north]
  model: face-detector@1.2.0
  replicas: {min: 2}
  resources: {cores: 1, memory: 512MiB}
"""

STATUS = {
    "role": "master",
    "node": "master-1",
    "mesh": "shops",
    "version": "0.1.0",
    "boot": 3,
    "uptime_s": 75.2,
    "wan": {"up": True, "since": 1_700_000_000_000},
    "state": {"trust_generation": 1, "seen": 7, "applied": 7, "synced": True},
    "peers": [{"id": "north-a", "role": "node", "wan": True}],
    "journal": {"records": 12, "unacknowledged": 0, "dropped": 3, "copy_holder": "north-b"},
    "wan_bytes": {"sent": 2048, "received": 10, "chunks_received": 0},
    "memory": {"agent_bytes": 64 * 1024**2},
    "mdns": "unavailable: no multicast",
    "replicas": [{"workload": "faces", "index": 0, "phase": "serving", "pid": 12, "restarts": 0}],
    "alarms": 1,
}

NODES = [
    {"node": "north-a", "site": "north", "live": "live", "gateway": True, "applied": 7},
    {"node": "north-b", "site": "north", "live": "dead", "gateway": False, "applied": 6},
]

OUTAGES = [
    {
        "site": "north",
        "began": 1_700_000_000_000,
        "ended": 1_700_000_042_000,
        "duration_s": 42.0,
        "events": [
            {
                "time": 1_700_000_003_000,
                "node": "north-a",
                "event": "replica.started",
                "subject": "faces",
                "fields": {"why": "north-b is dead"},
            }
        ],
    }
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path)


@pytest.fixture
async def master(world: World) -> AsyncIterator[MemoryBackend]:
    backend = world.backend()
    backend.documents = {"status": [STATUS], "nodes": NODES, "outages": OUTAGES}
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        yield backend


async def test_get_shows_a_table_and_leaves_out_columns_that_are_empty(world, master):
    result = await world.run("get", "nodes")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["NODE", "SITE", "STATE", "GATEWAY", "APPLIED"],
        ["north-a", "north", "live", "yes", "7"],
        ["north-b", "north", "dead", "no", "6"],
    ]


async def test_get_passes_name_site_and_limit_on(world, master):
    await world.run("get", "no", "north-a", "--site", "north", "--limit", "5")
    assert master.asked == [("nodes", "north-a", "north", 5)]


async def test_json_gives_the_documents_as_they_came(world, master):
    result = await world.run("get", "nodes", "-o", "json")
    assert json.loads(result.stdout) == NODES
    before = await world.run("-o", "json", "get", "nodes")
    assert before.stdout == result.stdout


async def test_yaml_gives_the_documents_as_they_came(world, master):
    result = await world.run("get", "outages", "-o", "yaml")
    assert "duration_s: 42.0" in result.stdout


async def test_status_shows_the_daemon_and_its_nodes(world, master):
    result = await world.run("status")
    assert result.exit_code == 0, result.output
    for text in ("up 1 min 15 s", "seen 7  applied 7", "north-a (WAN)", "64 MiB", "no multicast"):
        assert text in result.stdout
    assert "north-b" in result.stdout


async def test_outages_show_what_the_site_did(world, master):
    result = await world.run("outages")
    assert "42 s" in result.stdout
    assert "replica.started" in result.stdout
    assert "why=north-b is dead" in result.stdout


async def test_nothing_to_show_is_said_on_stderr(world, master):
    result = await world.run("alarms")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no alarms\n")


async def test_describe_shows_the_document_and_its_latest_events(world, master):
    master.documents["events"] = [
        {"time": 1, "node": "north-a", "event": "node.joined", "subject": "north-a"},
        {"time": 2, "node": "south-a", "event": "node.joined", "subject": "south-a"},
    ]
    result = await world.run("describe", "node", "north-a")
    assert "site: north" in result.stdout
    assert result.stdout.count("node.joined") == 1


async def test_what_is_not_there_is_told(world, master):
    result = await world.run("get", "services", "nothing")
    assert result.exit_code == 1
    assert "no services 'nothing'" in result.stderr


async def test_apply_sends_the_file_and_shows_the_changes(world, master, tmp_path):
    file = tmp_path / "faces.yaml"
    file.write_bytes(SERVICE)
    result = await world.run("apply", "-f", str(file))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].split() == ["Service", "faces", "created"]
    assert master.applied == [SERVICE]


async def test_apply_reads_stdin_and_a_dry_run_changes_nothing(world, master):
    result = await world.run("apply", "-f", "-", "--dry-run", "-o", "json", stdin=SERVICE)
    assert json.loads(result.stdout)["counter"] == 7
    assert master.applied == []


async def test_bad_yaml_is_refused_with_line_and_column_before_anything_is_sent(
    world, master, tmp_path
):
    file = tmp_path / "faces.yaml"
    file.write_bytes(SERVICE.replace(b"replicas", b"replicsa"))
    result = await world.run("apply", "-f", str(file))
    assert result.exit_code == 2
    assert "faces.yaml:7:3" in result.stderr
    assert "replicas" in result.stderr
    assert "nothing was applied" in result.stderr
    assert master.applied == []


async def test_what_the_master_refuses_names_the_file_too(world, master, tmp_path):
    file = tmp_path / "faces.yaml"
    file.write_bytes(SERVICE.replace(b"face-detector", b"unknown-model"))
    result = await world.run("apply", "-f", str(file))
    assert result.exit_code == 2
    assert "faces.yaml:6:10: spec.model: no model unknown-model" in result.stderr


async def test_what_was_applied_with_a_warning_says_so(world, master, tmp_path):
    file = tmp_path / "faces.yaml"
    file.write_bytes(SERVICE.replace(b"face-detector", b"warned"))
    result = await world.run("apply", "-f", str(file))
    assert result.exit_code == 0
    assert "warning: faces.yaml: no node is enrolled in site 'moon' yet" in result.stderr


PUSH = ["model", "push", __file__, "--name", "m", "--version", "1"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["apply", "-f", "no-such-file.yaml"], "cannot read", id="no such file"),
        pytest.param(["get", "pods"], "no kind 'pods'; kinds are", id="a kind that there is not"),
        pytest.param(["get", "nodes", "-o", "xml"], "table, json, yaml", id="a bad format"),
        pytest.param(["delete", "event", "x"], "cannot be deleted", id="deleting an event"),
        pytest.param(
            ["local", "scale", "faces", "2", "--reason", "x", "--for", "999999d"],
            "--for '999999d': give 1s to 400d",
            id="a change for ever",
        ),
        pytest.param(
            ["delegate", "--site", "north", "--out", "key", "--until", "99999999999999d"],
            "--until '99999999999999d': give 1ms to 400d",
            id="a delegation for ever",
        ),
        pytest.param(
            [*PUSH, "--memory", "9999999999999GiB"],
            "--memory '9999999999999GiB': give 1B to 1024GiB",
            id="more memory than there is",
        ),
        pytest.param(
            [*PUSH, "--load-time", "0s"],
            "--load-time '0s': give 1ms to 1h",
            id="no time to load",
        ),
        pytest.param(
            ["get", "nodes", "--identity", "north-a"], "give --address too", id="who, but not where"
        ),
        pytest.param(["delete", "pod", "x"], "what was applied can: Model,", id="deleting a pod"),
        pytest.param(
            ["restart", "faces", "--reason", "x" * 257], "at most 256", id="a reason that is a book"
        ),
        pytest.param(["--context", "x", "get", "nodes"], "no context 'x'", id="no such context"),
        pytest.param(["get", "nodes", "--address", "x"], "HOST:PORT", id="no address"),
        pytest.param(["get"], "Missing argument", id="a missing argument"),
        pytest.param(
            ["token", "create", "--site", "north", "--valid", "8d"],
            "--valid '8d': give 1s to 7d",
            id="a token for ever",
        ),
        pytest.param(
            ["token", "create", "--site", "north", "--valid", "600"],
            "--valid: 600 has no unit; did you mean 600ms or 600s?",
            id="a duration without a unit",
        ),
        pytest.param(
            ["local", "scale", "faces", "2", "--reason", "x", "--for", "30min"],
            "--for: 'min' is no unit of a duration; did you mean 30m?",
            id="a unit of its own",
        ),
        pytest.param(
            ["delegate", "--site", "north", "--out", "key", "--count", "99999999999"],
            "less than or equal to 16",
            id="a delegation for everybody",
        ),
        pytest.param(
            ["infer", "faces", "--image", "no.png", "--timeout", "nan"],
            "less than or equal to 3600",
            id="a deadline that is no number",
        ),
        pytest.param(
            ["infer", "faces", "--image", "no.png", "--threshold", "nan"],
            "less than or equal to 1",
            id="a threshold that is no number",
        ),
    ],
)
async def test_bad_input_ends_with_2_and_says_what_is_wrong(world, master, arguments, text):
    result = await world.run(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr


async def test_a_file_that_is_too_large_or_no_text_is_refused(world, master):
    result = await world.run("apply", "-f", "-", stdin=b"#" * 250_000)
    assert (result.exit_code, "in several files" in result.stderr) == (2, True)
    result = await world.run("apply", "-f", "-", stdin=b"\xff\xfe")
    assert (result.exit_code, "no UTF-8" in result.stderr) == (2, True)


async def test_delete_restart_revoke_and_tokens_reach_the_master(world, master):
    deleted = await world.run("delete", "service", "faces")
    assert deleted.stdout.split()[-3:] == ["Service", "faces", "deleted"]
    assert "state 11" in (await world.run("restart", "faces")).stdout
    revoke = ("node", "revoke", "north-b", "--reason")
    assert "is revoked from state 10 on" in (await world.run(*revoke, "stolen")).stdout
    again = await world.run(*revoke, "lost")
    assert again.stdout == "north-b was revoked already, and stays so: stolen (state 10)\n"
    assert (again.exit_code, master.revoked) == (0, {"north-b": "stolen"})
    assert json.loads((await world.run(*revoke, "lost", "-o", "json")).stdout)["reason"] == "stolen"
    silent = await world.run(*revoke, "")
    assert (silent.exit_code, "give a --reason" in silent.stderr) == (2, True)
    token = await world.run("token", "create", "--site", "north")
    assert token.stdout == "M1.id.north.pin\n"
    assert "meshd node join" in token.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        pytest.param(["delete", "model", "x"], 1, "no Model 'x'", id="not found"),
        pytest.param(["token", "create", "--site", "moon"], 4, "closed", id="refused"),
        pytest.param(["restart", "bug"], 1, "ZeroDivisionError", id="a bug in the daemon"),
    ],
)
async def test_refusals_have_their_exit_codes(world, master, arguments, code, text):
    result = await world.run(*arguments)
    assert (result.exit_code, text in result.stderr) == (code, True)


async def test_nobody_there_ends_with_3(world):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        world.know(master_at(f"127.0.0.1:{closed.getsockname()[1]}"))
        result = await world.run("apply", "-f", "-", stdin=SERVICE)
    assert result.exit_code == 3
    assert "is the daemon there running?" in result.stderr


async def test_no_context_yet_names_init(world):
    result = await world.run("get", "nodes")
    assert result.exit_code == 2
    assert "meshctl init" in result.stderr


async def test_a_node_answers_when_the_master_does_not(world):
    backend = world.backend(is_node=True)
    backend.documents = {"nodes": NODES}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{closed.getsockname()[1]}"
        async with serving(backend, world.node_tls("north-a")) as address:
            world.know(master_at(dead), node_at(address))
            result = await world.run("get", "nodes", "-o", "json")
            assert json.loads(result.stdout) == NODES
            assert "showing what node north-a" in result.stderr
            everywhere = await world.run("restart", "faces")
            assert (everywhere.exit_code, everywhere.stdout) == (3, ""), "not on some node instead"
            local = await world.run("restart", "faces", "--address", address)
            assert "2 restarted on north-a" in local.stdout


async def test_a_node_cannot_pose_as_a_master(world):
    backend = world.backend()
    async with serving(backend, world.node_tls("north-a")) as address:
        world.know(master_at(address))
        result = await world.run("apply", "-f", "-", stdin=SERVICE)
        assert result.exit_code == 4
        assert "expected master master-1" in result.stderr
        named = await world.run("apply", "-f", "-", "--address", address, stdin=SERVICE)
        assert named.exit_code == 4
        assert "is a node; only a master can apply" in named.stderr
        other = await world.run("get", "nodes", "--address", address, "--identity", "north-b")
        assert other.exit_code == 4
        assert "but node north-a is there" in other.stderr
    assert backend.applied == []


async def test_another_meshs_daemon_is_refused(world, tmp_path):
    other = World.make(tmp_path, "ships")
    async with serving(other.backend(), other.master.tls) as address:
        world.know(master_at(address))
        result = await world.run("get", "nodes", "--address", address)
        assert result.exit_code == 4
        assert "no authority of the mesh shops issued" in result.stderr


@pytest.mark.parametrize("name", ["master/master-1", "master-1"])
async def test_an_identity_may_be_given(world, master, name):
    found = contexts.load(world.config).pick("").addresses[0].address
    result = await world.run("get", "nodes", "--address", found, "--identity", name)
    assert result.exit_code == 0, result.stderr


async def test_a_watch_shows_changes_until_it_is_refused(world, master):
    watching = asyncio.create_task(world.run("get", "nodes", "--watch", "-o", "json"))
    await asyncio.wait_for(master.watched.wait(), 10)
    master.documents["nodes"] = [{"node": "north-c"}]
    master.changed.set()
    result = await asyncio.wait_for(watching, 10)
    shown = [json.loads(line)["node"] for line in result.stdout.splitlines()]
    assert shown == ["north-a", "north-b", "north-c"]
    assert (result.exit_code, "watched long enough" in result.stderr) == (4, True)


async def test_init_makes_a_mesh_and_its_context(world, tmp_path):
    made = await world.run("init", str(tmp_path / "new"), "--mesh", "ships", "-o", "json")
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert (Path(document["root"]) / "root-key.pem").exists()
    text = world.config.read_text()
    assert 'current = "ships"' in text
    again = await world.run("init", str(tmp_path / "new"), "--mesh", "ships")
    assert (again.exit_code, "already" in again.stderr) == (2, True)
    bad = await world.run("init", str(tmp_path / "bad"), "--mesh", "Ships!")
    assert (bad.exit_code, (tmp_path / "bad").exists()) == (2, False)
