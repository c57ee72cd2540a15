"""`meshctl infer` against a server of the inference protocol that finds one bright square."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest

from node.admin.inference import detections, picture_input, same
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from tests.node.admin.support import World

SIDE = 32


class Bright(GRPCInferenceServiceServicer):
    """Two windows over the bright square, one elsewhere; the scores are the tensor's mean there."""

    async def ModelMetadata(self, request, context):  # noqa: N802
        if request.name != "faces":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.name!r}")
        reply = pb.ModelMetadataResponse(name="faces", properties={"threshold": "0.9"})
        reply.inputs.add(name="image", datatype="UINT8", shape=[1, SIDE, SIDE, 1])
        return reply

    async def ModelInfer(self, request, context):  # noqa: N802
        image = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(SIDE, SIDE)
        if image.max() == 7:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no replica serves")
        boxes = np.array([[8, 4, 8, 8], [9, 4, 8, 8], [20, 20, 8, 8]], np.float32)
        scores = np.array([1.0, 0.95, image[20:28, 20:28].mean() / 255], np.float32)
        reply = pb.ModelInferResponse(model_name="faces", model_version="1.2.0")
        for name, tensor in (("boxes", boxes[None]), ("scores", scores[None])):
            reply.outputs.add(name=name, datatype="FP32", shape=tensor.shape)
            reply.raw_output_contents.append(tensor.tobytes())
        return reply


@pytest.fixture
async def at() -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_GRPCInferenceServiceServicer_to_server(Bright(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path)


def picture(folder: Path, value: int = 255) -> Path:
    path = folder / "picture.png"
    image = np.zeros((32, 64, 3), np.uint8)
    image[8:24, 16:32] = value
    assert cv2.imwrite(str(path), image)
    return path


async def test_a_picture_gives_boxes_in_its_own_pixels(world, at, tmp_path):
    path = str(picture(tmp_path))
    result = await world.run("infer", "faces", "--at", at, "--image", path, "-o", "json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["detections"]
    assert found == {"x": 17, "y": 8, "width": 16, "height": 16, "score": 1.0}
    shown = await world.run("infer", "faces", "--at", at, "--image", path)
    assert "faces 1.2.0 answered in" in shown.stdout
    assert "1 found" in shown.stdout


def golden(folder: Path, score: float) -> Path:
    np.zeros((1, SIDE, SIDE, 1), np.uint8).tofile(folder / "in.bin")
    np.array([[1.0, 0.95, score]], "<f4").tofile(folder / "out.bin")
    shape = [1, SIDE, SIDE, 1]
    case = {
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": shape, "file": "in.bin"}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 3], "file": "out.bin"}],
        "tolerance": {"absolute": 0.01, "relative": 0},
    }
    (folder / "golden.json").write_text(json.dumps([case]))
    return folder


@pytest.mark.parametrize(
    ("score", "code"), [pytest.param(0.005, 0, id="right"), pytest.param(0.5, 1, id="wrong")]
)
async def test_golden_requests_are_compared(world, at, tmp_path, score, code):
    folder = str(golden(tmp_path, score))
    result = await world.run("infer", "faces", "--at", at, "--golden", folder)
    assert result.exit_code == code, result.output
    assert ("wrong in case 0" in result.stderr) == bool(code)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        pytest.param(["faces"], 2, "give one of --image", id="nothing to send"),
        pytest.param(["faces", "--image", "no.png"], 2, "cannot read no.png", id="no such picture"),
        pytest.param(["faces", "--image", __file__], 2, "no picture", id="no picture"),
        pytest.param(["faces", "--golden", "no"], 2, "cannot read no/golden.json", id="no folder"),
        pytest.param(["cats", "--image", "no.png"], 1, "no service 'cats'", id="unknown service"),
    ],
)
async def test_bad_requests_say_what_is_wrong(world, at, arguments, code, text):
    result = await world.run("infer", *arguments, "--at", at)
    assert (result.exit_code, text in result.stderr) == (code, True), result.output


async def test_no_replica_is_unreachable(world, at, tmp_path):
    path = str(picture(tmp_path, value=7))
    result = await world.run("infer", "faces", "--at", at, "--image", path)
    assert (result.exit_code, "no replica serves" in result.stderr) == (3, True)


def test_a_colour_picture_for_a_model_with_channels_first(tmp_path):
    wanted = pb.ModelMetadataResponse.TensorMetadata(
        name="x", datatype="FP32", shape=[1, 3, SIDE, SIDE]
    )
    tensor, scale = picture_input(picture(tmp_path), wanted)
    assert (tensor.data.shape, scale) == ((1, 3, SIDE, SIDE), 0.5)
    assert tensor.data[0, :, 6, 10].tolist() == [255.0] * 3


def test_nothing_above_the_threshold_is_nothing_found():
    assert detections(np.ones((2, 4)), np.array([0.1, 0.2]), 0.5).shape == (0, 5)


def test_nan_and_other_shapes_are_never_the_same():
    one = np.array([1.0])
    assert same(one, one, 0, 0)
    assert not same(np.array([np.nan]), one, 9, 9)
    assert not same(np.array([1.0, 1.0]), one, 9, 9)
