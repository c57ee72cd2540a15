"""Frames with a white square, and a real inference server whose detector finds it."""

import contextlib
import http.server
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import numpy as np

from protos.inference_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
)
from protos.inference_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

SIDE = 64
WIDTH, HEIGHT = 160, 120
SQUARE = (40, 40, 40)
"""x, y, side of the white square in the video's pixels."""


def frame_with(squares: int) -> Any:
    """A dark frame with this many white squares (0 or 1)."""
    frame = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    if squares:
        x, y, side = SQUARE
        frame[y : y + side, x : x + side] = 255
    return frame


class SquareDetector(GRPCInferenceServiceServicer):
    """A model of one input, UINT8 [1, 64, 64, 1], that finds bright squares."""

    def __init__(self) -> None:
        self.version = "1.0.0"
        self.threshold: str | None = "0.5"
        self.metadata_asked = 0
        self.inferences = 0
        self.refuse: grpc.StatusCode | None = None
        self.change: Callable[[ModelInferResponse], None] | None = None
        self.shape = [1, SIDE, SIDE, 1]
        self.outputs: tuple[str, ...] = ("boxes", "scores")

    async def ModelMetadata(  # noqa: N802
        self, request: ModelMetadataRequest, context: Any
    ) -> ModelMetadataResponse:
        if request.name != "squares":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name} here")
        self.metadata_asked += 1
        metadata = ModelMetadataResponse(name="squares", versions=[self.version])
        metadata.inputs.add(name="image", datatype="UINT8", shape=self.shape)
        for output in self.outputs:
            metadata.outputs.add(name=output, datatype="FP32")
        if self.threshold is not None:
            metadata.properties["threshold"] = self.threshold
        return metadata

    async def ModelInfer(self, request: ModelInferRequest, context: Any) -> ModelInferResponse:  # noqa: N802
        if self.refuse is not None:
            await context.abort(self.refuse, "as told")
        self.inferences += 1
        assert list(request.inputs[0].shape) == self.shape
        image = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(SIDE, SIDE)
        response = answer(image, self.version)
        if self.change is not None:
            self.change(response)
        return response


def answer(image: Any, version: str) -> ModelInferResponse:
    """Three windows that agree on the bright square, and one far off that scores low."""
    rows, columns = np.nonzero(image > 128)
    x, y, side = (columns.min(), rows.min(), np.ptp(columns) + 1) if len(rows) else (0, 0, 8)
    score = 0.9 if len(rows) else 0.1
    boxes = np.array([[x + off, y, side, side] for off in (0, 1, 2)] + [[0, 0, 4, 4]], "<f4")
    scores = np.array([score, score - 0.05, score - 0.07, 0.2], "<f4")
    response = ModelInferResponse(model_name="squares", model_version=version)
    for name, values in (("boxes", boxes[None]), ("scores", scores[None])):
        response.outputs.add(name=name, datatype="FP32", shape=values.shape)
        response.raw_output_contents.append(values.tobytes())
    return response


@contextlib.asynccontextmanager
async def serving(detector: SquareDetector) -> AsyncIterator[str]:
    """Serve on a port of loopback; gives its address."""
    server = grpc.aio.server()
    add_GRPCInferenceServiceServicer_to_server(detector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


class Serving(http.server.BaseHTTPRequestHandler):
    """Serves one file, and notes every request."""

    asked: list[str]
    content: bytes

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *arguments: object) -> None:
        pass
