"""A client that is not ours: NVIDIA's tritonclient, in a process of its own, against a runtime."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.node.runtime.harness import WAIT_S, RunningRuntime

PROGRAM = Path(__file__).with_name("triton_client.py")


@pytest.fixture(scope="module")
async def seen(serving: RunningRuntime) -> dict[str, Any]:
    """What the client has seen."""
    address = serving.state.inference_address
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), address, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await client.communicate()
    assert client.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


def test_it_sees_a_live_server_and_which_models_are_ready(seen: dict[str, Any]) -> None:
    # "absent" has nobody to answer it, so the server as a whole is not ready.
    assert (seen["live"], seen["ready"]) == (True, False)
    assert seen["models ready"] == {"faces": True, "absent": False, "nobody": False}


def test_it_reads_the_metadata(seen: dict[str, Any]) -> None:
    assert seen["server"]["name"] == "meshd"
    model = seen["model"]
    assert (model["name"], model["platform"], model["versions"]) == ("faces", "openvino", ["1.0.0"])
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["1", "4"]}]
    assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["1", "4"]}]
    states = {one["name"]: one["state"] for one in seen["index"]["models"]}
    assert states == {"absent": "UNAVAILABLE", "faces": "READY"}


def test_its_raw_tensors_get_the_right_answer(seen: dict[str, Any]) -> None:
    answer = {"model": "faces", "version": "1.0.0", "shape": [1, 4], "datatype": "FP32"}
    values = [[2.0, 3.0, 4.0, 5.0]]
    assert seen["raw"] == {**answer, "id": "7", "values": values}
    assert seen["with a version"] == {**answer, "id": "", "values": values}


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("an unknown model", "NOT_FOUND", "no service or model 'nobody'"),
        ("nobody serves it", "UNAVAILABLE", "'absent'"),
        ("an unknown version", "NOT_FOUND", "no version '9'"),
        ("a wrong name", "INVALID_ARGUMENT", "the model takes ['x']"),
        ("a wrong shape", "INVALID_ARGUMENT", "has the shape [1, 3], the model takes [1, 4]"),
        ("a wrong type", "INVALID_ARGUMENT", "has the type INT32, the model takes FP32"),
        ("an unknown output", "INVALID_ARGUMENT", "no output 'q'"),
        ("configuration", "UNIMPLEMENTED", ""),
        ("loading", "FAILED_PRECONDITION", "meshctl apply"),
    ],
)
def test_it_is_told_the_protocols_errors(
    seen: dict[str, Any], what: str, status: str, message: str
) -> None:
    told = seen["errors"][what]
    assert told["status"] == f"StatusCode.{status}"
    assert message in told["message"]


def test_its_stream_is_answered_in_order_and_outlives_an_error(seen: dict[str, Any]) -> None:
    first, second, third = seen["stream"]
    assert (first["id"], first["values"]) == ("1", [[2.0] * 4])
    assert "no service or model 'nobody'" in second["error"]
    assert (third["id"], third["values"]) == ("3", [[4.0] * 4])
