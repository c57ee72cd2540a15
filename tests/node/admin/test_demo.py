"""The demo's parts, without its story: files it writes, processes it finds, records it counts."""

import json
import signal
import sys
import time
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from mesh.desired.parse import parse
from mesh.journals import BatchWriter, LogKey
from mesh.signed import Signer
from node.admin.demo import audit
from node.admin.demo.golden import FACE, GoldenRequest, overlap
from node.admin.demo.lab import Talker, in_parallel
from node.admin.demo.layout import (
    BAD_VERSION,
    SITES,
    all_yaml,
    make_layout,
    master_toml,
    multicast_works,
    node_toml,
    service_yaml,
    version_yaml,
)
from node.admin.demo.narrator import Narrator, counts, cut
from node.admin.demo.opening import check_face, write_companion
from node.admin.demo.processes import Processes, census, connections_to, kill, of_folder
from node.admin.demo.waiting import StepFailed, require, wait_for
from node.disk.journals import JournalStore
from protos.documents_pb2 import JournalEntry


def test_what_is_counted_by_name_is_told_as_a_sentence_tells_it():
    assert counts({"south-b": 1, "south-a": 2}) == "south-a 2, south-b 1"


def test_what_is_too_long_ends_with_a_whole_word_and_a_mark():
    told = "the gate of b: scores differs in 10 of 20 values"
    assert cut(told, len(told)) == told
    assert cut(told, len(told) - 1) == "the gate of b: scores differs in 10 of 20 …"
    assert cut(told, 24) == "the gate of b: scores …"


def test_what_the_demo_applies_is_valid():
    kinds = [one.resource.kind for one in parse(all_yaml())]
    assert kinds == ["Site", "Site", "Model", "Model", "Service", "Service", "Pipeline"]
    (more,) = parse(service_yaml("south", 3))
    assert more.resource.spec.replicas.min == 3
    newer = [one.resource for one in parse(version_yaml(BAD_VERSION))]
    assert [one.kind for one in newer] == ["Model", "Service", "Service"]
    assert newer[0].spec.version == BAD_VERSION
    assert {str(one.spec.model) for one in newer[1:]} == {f"face-detector@{BAD_VERSION}"}


def test_every_node_has_its_ports_and_knows_only_the_relay(tmp_path):
    layout = make_layout(tmp_path, tmp_path / "model")
    for site in SITES:
        layout.relays[site] = {"peer": f"127.0.0.1:{len(site)}", "enrolment": "127.0.0.1:2"}
    addresses = [layout.master_peer, layout.master_enrolment]
    for node in layout.nodes.values():
        addresses += [node.peer, node.inference, node.peer_inference]
        written = node_toml(layout, node, seeds=True)
        config = tomllib.loads(written)
        assert config["master"]["addresses"] == ["master-1@127.0.0.1:5"]
        assert layout.master_peer not in written
        (seed,) = config["peer"]["seeds"]
        assert seed.split("@")[0] in SITES[node.site]
        assert tomllib.loads(node_toml(layout, node, seeds=False))["peer"]["seeds"] == []
    assert len(set(addresses)) == 17
    assert tomllib.loads(master_toml(layout))["peer"]["listen"] == layout.master_peer


def test_multicast_is_looked_at_and_never_raises():
    assert multicast_works(0.2) in (True, False)


def test_the_companion_is_32_mib_of_chunks_that_differ(tmp_path):
    write_companion(tmp_path / "map")
    data = (tmp_path / "map").read_bytes()
    assert len(data) == 32 * 1024 * 1024
    assert len({data[at : at + 65536] for at in range(0, len(data), 65536)}) == 512


def test_waiting_gives_the_value_or_says_what_was_seen():
    looks = iter([(None, "one"), ("done", "")])
    assert wait_for("it", lambda: next(looks), 5, 0) == "done"
    with pytest.raises(StepFailed, match="it: not within 0 s; last seen: two"):
        wait_for("it", lambda: (None, "two"), 0, 0)
    require(True, "")
    with pytest.raises(StepFailed, match="no"):
        require([], "no")


def test_a_failed_step_is_told_and_reported(tmp_path):
    console = Console(record=True, width=100)
    narrator = Narrator(console)
    narrator.step("One", lambda: narrator.measured("heal_s", 1.5, "healed after 1.5 s"))
    with pytest.raises(StepFailed):
        narrator.step("Two", lambda: require(False, "the evidence"))
    with pytest.raises(ZeroDivisionError):
        narrator.step("Three", lambda: print(1 / 0))
    narrator.figures["wan_ratio"] = {"north": 1.0}
    narrator.remark("by the way")
    narrator.summary()
    narrator.write(tmp_path / "report.json", ok=False)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["heal_s"]) == (False, 1.5)
    assert [step["ok"] for step in report["steps"]] == [True, False, False]
    assert report["steps"][1]["notes"] == ["FAILED: the evidence"]
    text = console.export_text()
    assert "✗ the evidence" in text
    assert "north 1.0" in text


def test_the_first_failure_of_parallel_work_is_raised():
    done = []
    in_parallel(done.append, [1, 2, 3])
    assert sorted(done) == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda number: 1 / number, [1, 0])


def entry(text: str) -> JournalEntry:
    return JournalEntry(event=text)


def journal(folder: Path, node: str, events: list[str]) -> Path:
    """A data folder with one record log of `node`."""
    (folder / audit.JOURNALS).mkdir(parents=True)
    store = JournalStore(folder / audit.JOURNALS, 1 << 20, node)
    key = LogKey(node, 1, b"12345678", "record")
    writer = BatchWriter(key, Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32)))
    for event in events:
        store.append([writer.batch([entry(event), entry(event + "!")])])
    return folder


def test_an_audit_counts_what_the_master_lacks(tmp_path):
    node = journal(tmp_path / "node", "north-a", ["one", "two"])
    same = journal(tmp_path / "same", "north-a", ["one", "two"])
    less = journal(tmp_path / "less", "north-a", ["one"])
    other = journal(tmp_path / "other", "north-a", ["one", "three"])
    held = {one.name: audit.read_copy(one, tmp_path / "x") for one in (node, same, less, other)}
    whole = audit.compare([held["node"]], held["same"])
    assert (whole.clean, whole.records, whole.logs) == (True, 4, 1)
    lacking = audit.compare([held["node"]], held["less"])
    assert len(lacking.lost) == 2
    assert "north-a/1-" in lacking.lost[0]
    altered = audit.compare([held["node"]], held["other"])
    assert (len(altered.altered), altered.clean) == (2, False)


async def test_processes_are_found_by_their_data_folder_and_ended(tmp_path):
    data = tmp_path / "north-a"
    data.mkdir()
    program = tmp_path / "meshd"
    program.write_text(
        "import socket, subprocess, sys, time\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(s.getsockname())\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', 'node.worker'])\n"
        "print(s.getsockname()[1], flush=True)\n"
        "time.sleep(60)\n"
    )
    processes = Processes(tmp_path, {})
    command = [sys.executable, str(program), "node", "--data", str(data)]
    started = processes.start("north-a", command, pipes=True)
    assert started.stdout is not None
    port = int(started.stdout.readline())
    wait_for("both run", lambda: (len(census(data)) == 2 or None, census(data)), 10, 0.02)
    assert sorted(one.what for one in census(data)) == ["agent", "worker"]
    assert connections_to(f"127.0.0.1:{port}", [data]) == [f"north-a, process {started.pid}"]
    assert of_folder(tmp_path / "north") == []
    before = time.monotonic()
    assert kill(data) >= before
    assert census(data) == set()
    with pytest.raises(StepFailed, match="north-a ended with"):
        processes.check_running("north-a")
    again = processes.start("north-a", command, pipes=True)
    processes.check_running("north-a")
    processes.stop_all()
    assert again.poll() is not None
    assert again.stdout is not None
    assert again.stdout.closed
    for stream in (started.stdin, started.stdout):
        assert stream is not None
        stream.close()


def test_a_command_is_run_to_its_end_and_a_hanging_one_is_told(tmp_path):
    processes = Processes(tmp_path, {"WORD": "hello"})
    script = "import os, sys; print(os.environ['WORD'] + sys.stdin.read()); sys.exit(3)"
    assert processes.run([sys.executable, "-c", script], 20, b"!") == (3, "hello!\n", "")
    with pytest.raises(StepFailed, match="did not end"):
        processes.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
    assert processes.tail("nobody") == "(no log)"


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        pytest.param([FACE], True, id="the face"),
        pytest.param([], False, id="nothing"),
        pytest.param([FACE, (0, 0, 9, 9)], False, id="something else too"),
        pytest.param([(0, 0, 50, 50)], False, id="elsewhere"),
    ],
)
def test_the_photographs_face_and_nothing_else(found, holds):
    names = ("x", "y", "width", "height")
    out = json.dumps({"detections": [dict(zip(names, box, strict=True)) for box in found]})
    if holds:
        check_face("north-a", out)
    else:
        with pytest.raises(StepFailed, match="north-a found"):
            check_face("north-a", out)


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)


def test_the_examples_golden_request_is_readable_and_nobody_answers():
    golden = GoldenRequest(Path("docs/examples/face-detector/golden").resolve())
    assert not golden.right("faces", "127.0.0.1:9")


ANSWERS = """
import json, os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'{"signalled": true}\\n'))
print(json.dumps({"first": True}), flush=True)
for line in sys.stdin:
    if line == "end\\n":
        sys.exit("that is all I know")
    print(json.dumps({"asked": line.strip()}), flush=True)
"""


def test_a_helper_process_answers_line_by_line_and_its_end_is_told_with_its_log(tmp_path):
    processes = Processes(tmp_path, {})
    talker = Talker(processes, "helper", [sys.executable, "-c", ANSWERS])
    assert talker.first == {"first": True}
    assert talker.ask("how far") == {"asked": "how far"}
    assert talker.signalled(signal.SIGUSR1) == {"signalled": True}
    with pytest.raises(StepFailed, match="helper ended:\nthat is all I know"):
        talker.ask("end")
    talker.process.wait(10)
    with pytest.raises(StepFailed, match="helper ended with 1:\nthat is all I know"):
        talker.ask("anything more?")
    processes.stop_all()
