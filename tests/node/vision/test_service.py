"""The service's client against a real server."""

import asyncio
from collections.abc import Callable

import grpc
import numpy as np
import pytest

from node.vision.service import Service, ServiceFailed
from protos.inference_pb2 import ModelInferResponse
from tests.node.vision.support import SquareDetector, frame_with


@pytest.fixture
def service(address: str) -> Service:
    return Service("squares", address, 0.0)


async def count(service: Service, squares: int = 1) -> int:
    return len(await asyncio.to_thread(service.find, frame_with(squares)))


async def test_finds_the_square_in_the_frames_pixels(
    detector: SquareDetector, service: Service
) -> None:
    found = await asyncio.to_thread(service.find, frame_with(1))
    assert found.shape == (1, 5), "windows that agree are one detection"
    assert np.allclose(found[0], [42.5, 40, 40, 40, 0.9], atol=2.6), (
        "the input is 2.5 times smaller"
    )
    assert await count(service, 0) == 0
    assert (detector.metadata_asked, detector.inferences) == (1, 2)
    service.close()


@pytest.mark.parametrize(
    ("own", "asked", "wanted"),
    [
        pytest.param("0.95", 0.0, 0, id="the model's own"),
        pytest.param("0.95", 0.5, 1, id="the pipeline's before the model's"),
        pytest.param(None, 0.0, 1, id="neither: the default"),
        pytest.param("high", 0.0, 1, id="the model's is no number: the default"),
    ],
)
async def test_the_threshold(
    detector: SquareDetector, address: str, own: str | None, asked: float, wanted: int
) -> None:
    detector.threshold = own
    service = Service("squares", address, asked)
    assert await count(service) == wanted
    service.close()


async def test_a_new_version_is_asked_what_it_takes(
    detector: SquareDetector, service: Service
) -> None:
    assert await count(service) == 1
    detector.version, detector.threshold = "2.0.0", "0.95"
    assert await count(service) == 1, "the answer in which the version was seen"
    assert await count(service) == 0
    assert detector.metadata_asked == 2
    service.close()


@pytest.mark.parametrize(
    ("status", "asked_again"),
    [
        pytest.param(grpc.StatusCode.UNAVAILABLE, 1, id="no replica now"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, 2, id="the model takes something else"),
        pytest.param(grpc.StatusCode.NOT_FOUND, 2, id="the model went away"),
    ],
)
async def test_a_refusal_says_its_status(
    detector: SquareDetector, service: Service, status: grpc.StatusCode, asked_again: int
) -> None:
    detector.refuse = status
    with pytest.raises(ServiceFailed, match=f"squares: {status.name}: as told"):
        await count(service)
    detector.refuse = None
    assert await count(service) == 1
    assert detector.metadata_asked == asked_again
    service.close()


async def test_an_unknown_service_and_no_server(address: str) -> None:
    unknown = Service("circles", address, 0.0)
    with pytest.raises(ServiceFailed, match="circles: NOT_FOUND"):
        await count(unknown)
    nowhere = Service("squares", "127.0.0.1:1", 0.0)
    with pytest.raises(ServiceFailed, match="squares: UNAVAILABLE"):
        await count(nowhere)
    unknown.close()
    nowhere.close()


def rename(response: ModelInferResponse) -> None:
    response.outputs[0].name = "circles"


def retype(response: ModelInferResponse) -> None:
    response.outputs[0].datatype = "FP64"


def untyped(response: ModelInferResponse) -> None:
    del response.raw_output_contents[:]


def cut(response: ModelInferResponse) -> None:
    response.raw_output_contents[1] = b"123"


def fewer(response: ModelInferResponse) -> None:
    response.raw_output_contents[1] = bytes(4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(rename, "has no output boxes", id="another output"),
        pytest.param(retype, "boxes is not raw FP32", id="another type"),
        pytest.param(untyped, "boxes is not raw FP32", id="no raw contents"),
        pytest.param(cut, "scores has 3 bytes", id="cut short"),
        pytest.param(fewer, "16 numbers for 1 boxes", id="boxes without scores"),
    ],
)
async def test_a_strange_answer_is_refused(
    detector: SquareDetector,
    service: Service,
    change: Callable[[ModelInferResponse], None],
    says: str,
) -> None:
    detector.change = change
    with pytest.raises(ServiceFailed, match=says):
        await count(service)
    service.close()


async def test_a_model_that_detects_nothing_is_refused(
    detector: SquareDetector, service: Service
) -> None:
    detector.outputs = ("label",)
    with pytest.raises(ServiceFailed, match="squares gives label; a detector gives boxes, scores"):
        await count(service)
    detector.outputs, detector.shape = ("boxes", "scores"), [1, 64]
    with pytest.raises(ServiceFailed, match="a picture has 4 dimensions"):
        await count(service)
    service.close()
