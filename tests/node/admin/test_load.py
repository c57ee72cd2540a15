"""The load client against a real inference server in this process."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from node.admin.load import Load, main, obey, read_spec
from node.admin.load_golden import BadGolden, read_golden
from protos.inference_pb2 import ModelInferRequest, ModelInferResponse
from protos.inference_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

DEADLINE_S = 10.0
IMAGE = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
SCORES = np.linspace(0, 1, 16, dtype="<f4").reshape(1, 16)


class Doubler(GRPCInferenceServiceServicer):
    """Answers as told: with `scores`, or with a status."""

    def __init__(self) -> None:
        self.seen = 0
        self.scores = SCORES
        self.change: Callable[[ModelInferResponse], None] | None = None
        self.hold: asyncio.Event | None = None

    async def ModelInfer(self, request: ModelInferRequest, context: Any) -> ModelInferResponse:  # noqa: N802
        self.seen += 1
        assert request.model_name == "faces"
        assert request.raw_input_contents[0] == IMAGE.tobytes()
        if self.hold is not None:
            await self.hold.wait()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "killed")
        response = ModelInferResponse(model_name="faces")
        response.outputs.add(name="scores", datatype="FP32", shape=[1, 16])
        response.raw_output_contents.append(self.scores.tobytes())
        if self.change is not None:
            self.change(response)
        return response


@contextlib.asynccontextmanager
async def serving(servicer: Doubler) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    folder = tmp_path / "golden"
    folder.mkdir()
    (folder / "image.bin").write_bytes(IMAGE.tobytes())
    (folder / "scores.bin").write_bytes(SCORES.tobytes())
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 4, 1], "file": "image.bin"}
    scores = {"name": "scores", "datatype": "FP32", "shape": [1, 16], "file": "scores.bin"}
    tolerance = {"absolute": 0.01, "relative": 0.001}
    case = {"inputs": [image], "outputs": [scores], "tolerance": tolerance}
    (folder / "golden.json").write_text(json.dumps([case]))
    return folder


def spec_file(golden: Path, nodes: dict[str, str], **more: Any) -> Path:
    path = golden.parent / "spec.json"
    path.write_text(json.dumps({"service": "faces", "golden": str(golden), "nodes": nodes} | more))
    return path


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_counts_what_is_right_on_every_node(golden: Path) -> None:
    first, second = Doubler(), Doubler()
    async with serving(first) as one, serving(second) as two:
        load = Load(read_spec(spec_file(golden, {"north-1": one, "north-2": two}, rate=200)))
        load.start()
        await until(lambda: min(first.seen, second.seen) >= 20)
        await load.stop()
    report = load.report("end")
    total = report["total"]
    assert (total["ok"], total["failed"], total["wrong"]) == (first.seen + second.seen, 0, 0)
    assert total["requests"] == total["ok"]
    assert report["nodes"]["north-1"]["p50_ms"] < 1000


def rename(response: ModelInferResponse) -> None:
    response.outputs[0].name = "boxes"


def reshape(response: ModelInferResponse) -> None:
    response.outputs[0].shape[1] = 8


def shorten(response: ModelInferResponse) -> None:
    response.raw_output_contents[0] = b"123"


def typed(response: ModelInferResponse) -> None:
    del response.raw_output_contents[:]


def not_a_number(response: ModelInferResponse) -> None:
    values = SCORES.copy()
    values[0, 3] = np.nan
    response.raw_output_contents[0] = values.tobytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(rename, "scores is missing", id="another output"),
        pytest.param(reshape, "is FP32 [1, 8]", id="another shape"),
        pytest.param(shorten, "has 3 bytes", id="too short"),
        pytest.param(typed, "not in raw form", id="typed contents"),
        pytest.param(not_a_number, "1 of 16 values are off", id="NaN is never right"),
    ],
)
async def test_a_wrong_answer_says_why(
    golden: Path, change: Callable[[ModelInferResponse], None], says: str
) -> None:
    servicer = Doubler()
    servicer.change = change
    async with serving(servicer) as address:
        load = Load(read_spec(spec_file(golden, {"n": address}, rate=200)))
        load.start()
        await until(lambda: servicer.seen >= 2)
        await load.stop()
    node = load.report("end")["nodes"]["n"]
    assert (node["ok"], node["wrong"]) == (0, servicer.seen)
    assert says in node["failures"][0]["detail"]


def test_values_within_tolerance_are_right_and_garbage_is_not(golden: Path) -> None:
    case = read_golden(golden)
    response = ModelInferResponse()
    response.outputs.add(name="scores", datatype="FP32", shape=[1, 16])
    response.raw_output_contents.append((SCORES + np.float32(0.009)).tobytes())
    assert case.fault(response.SerializeToString()) is None
    assert case.fault(response.SerializeToString()) is None, "the second look is the short one"
    assert case.fault(b"\xff\xff") == "the answer is no ModelInferResponse"


async def test_an_overdue_answer_is_a_failure_with_its_code(golden: Path) -> None:
    servicer = Doubler()
    servicer.hold = asyncio.Event()
    async with serving(servicer) as address:
        spec = spec_file(golden, {"n": address}, rate=50, deadline_ms=50)
        load = Load(read_spec(spec))
        load.start()
        await until(lambda: load.report("report")["total"]["failed"] >= 2)
        await load.stop()
    assert set(load.report("end")["nodes"]["n"]["codes"]) == {"DEADLINE_EXCEEDED"}


async def test_a_kill_and_a_return_elsewhere(golden: Path) -> None:
    doomed, heir = Doubler(), Doubler()
    doomed.hold = asyncio.Event()
    async with serving(doomed) as old, serving(heir) as new:
        load = Load(read_spec(spec_file(golden, {"n": old}, rate=100)))
        load.start()
        await until(lambda: doomed.seen >= 3)
        killed = time.monotonic() * 1000
        assert await obey(load, ["down", "n", str(killed)]) == {"event": "down", "node": "n"}
        doomed.hold.set()
        await until(lambda: not load.senders["n"]._requests)
        sent = doomed.seen
        await obey(load, ["up", "n", new])
        await until(lambda: heir.seen >= 3)
        await load.stop()
    node = load.report("end")["nodes"]["n"]
    assert (doomed.seen, node["in_flight_at_kill"]) == (sent, sent), "nothing was sent while down"
    assert (node["ok"], node["failed"], node["up"]) == (heir.seen, 0, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["down", "nobody"], "no node 'nobody'", id="down: unknown node"),
        pytest.param(["up", "nobody"], "no node 'nobody'", id="up: unknown node, no address"),
        pytest.param(["down", "n", "soon"], "could not convert", id="time is no number"),
        pytest.param(["explode"], "commands are", id="unknown command"),
        pytest.param([], "commands are", id="empty line"),
    ],
)
async def test_bad_commands_are_answered(golden: Path, words: list[str], says: str) -> None:
    answer = await obey(Load(read_spec(spec_file(golden, {}))), words)
    assert answer["event"] == "error"
    assert says in answer["error"]


def test_bad_golden_folders_are_named(golden: Path) -> None:
    with pytest.raises(BadGolden, match="IndexError"):
        read_golden(golden, case=1)
    with pytest.raises(BadGolden, match="has no output boxes"):
        read_golden(golden, outputs=["boxes"])
    (golden / "image.bin").write_bytes(b"123")
    with pytest.raises(BadGolden, match=r"image\.bin: 3 bytes; its shape needs 16"):
        read_golden(golden)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "Expecting property name", id="no JSON"),
        pytest.param("{}", "KeyError: 'golden'", id="a key is missing"),
        pytest.param("[]", "TypeError", id="no object"),
        pytest.param(" " * 70_000, "larger than", id="too large"),
    ],
)
def test_a_bad_spec_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    assert main(["--spec", str(path)]) == 2
    assert says in capsys.readouterr().err


def test_a_rate_of_zero_is_refused(golden: Path) -> None:
    with pytest.raises(ValueError, match="rate"):
        read_spec(spec_file(golden, {}, rate=0))


async def test_the_process_sends_reports_and_ends(golden: Path) -> None:
    servicer = Doubler()
    async with serving(servicer) as address:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node.admin.load", "--spec", str(spec_file(golden, {})),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None

        async def line() -> dict[str, Any]:
            assert process.stdout is not None
            async with asyncio.timeout(DEADLINE_S):
                return dict(json.loads(await process.stdout.readline()))

        assert (await line())["event"] == "started"
        process.stdin.write(f"up n {address}\nreport\n".encode())
        assert await line() == {"event": "up", "node": "n"}
        assert (await line())["event"] == "report"
        await until(lambda: servicer.seen >= 3)
        process.stdin.close()
        end = await line()
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == 0
    assert end["event"] == "end"
    assert (end["total"]["ok"], end["total"]["failed"]) == (servicer.seen, 0)
