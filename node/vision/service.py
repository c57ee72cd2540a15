"""The service that a pipeline calls, over the node's own inference port.

The model's metadata is asked once, and again when an answer comes from another version or the
service refuses what it was sent: a rollout may change what the model takes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from node.vision.detections import Floats, Numbers, detections
from node.vision.limits import ANSWER_BYTES_MAX, INFER_TIMEOUT_S
from node.vision.tensors import InputLayout, NotForPictures, input_layout, prepared
from protos.inference_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
)
from protos.inference_pb2_grpc import GRPCInferenceServiceStub

BOXES, SCORES = "boxes", "scores"
"""The outputs of a detector: FP32 [1, N, 4] as x, y, w, h in the input's pixels, and [1, N]."""

THRESHOLD_PROPERTY = "threshold"
"""Of the model's metadata: the threshold shipped in its manifest."""

THRESHOLD_UNKNOWN = 0.5
"""For a model that states none."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    # gRPC waits up to two minutes before it dials again; the runtime is back within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class ServiceFailed(Exception):
    """The service gave no usable answer to one frame; the text says why."""


@dataclass(frozen=True, slots=True)
class _Model:
    layout: InputLayout
    versions: tuple[str, ...]
    threshold: float


class Service:
    """Finds what a service detects in frames. `threshold` 0: the model's own. `check` is called
    before each call: it does not return once this process may act no more."""

    def __init__(
        self, name: str, address: str, threshold: float, check: Callable[[], None] = lambda: None
    ) -> None:
        self._name, self._threshold, self._check = name, threshold, check
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)
        self._model: _Model | None = None

    def find(self, frame: NDArray[np.uint8]) -> Floats:
        """The detections in one BGR frame, rows (x, y, w, h, score) in its pixels.

        Raises ServiceFailed.
        """
        self._check()
        try:
            model = self._model or self._ask_model()
            raw, scale = prepared(frame, model.layout)
            found = self._ask(model, raw)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                self._model = None
            raise ServiceFailed(f"{self._name}: {error.code().name}: {error.details()}") from error
        except NotForPictures as error:
            raise ServiceFailed(str(error)) from error
        found[:, :4] /= scale
        return found

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _ask_model(self) -> _Model:
        request = ModelMetadataRequest(name=self._name)
        metadata = self._stub.ModelMetadata(request, timeout=INFER_TIMEOUT_S)
        given = {tensor.name for tensor in metadata.outputs}
        if not {BOXES, SCORES} <= given:
            outputs = ", ".join(sorted(given)) or "nothing"
            raise NotForPictures(f"{self._name} gives {outputs}; a detector gives boxes, scores")
        threshold = self._threshold or _threshold_of(metadata)
        self._model = _Model(input_layout(metadata), tuple(metadata.versions), threshold)
        return self._model

    def _ask(self, model: _Model, raw: bytes) -> Floats:
        request = ModelInferRequest(model_name=self._name, raw_input_contents=[raw])
        layout = model.layout
        request.inputs.add(name=layout.name, datatype=layout.datatype, shape=layout.shape)
        for output in (BOXES, SCORES):
            request.outputs.add(name=output)
        response = self._stub.ModelInfer(request, timeout=INFER_TIMEOUT_S)
        version = response.model_version
        if version and model.versions and version not in model.versions:
            self._model = None
        boxes, scores = _output(response, BOXES), _output(response, SCORES)
        if boxes.size != 4 * scores.size:
            raise ServiceFailed(f"{self._name} gave {boxes.size} numbers for {scores.size} boxes")
        return detections(boxes, scores, model.threshold)


def _threshold_of(metadata: ModelMetadataResponse) -> float:
    try:
        threshold = float(metadata.properties.get(THRESHOLD_PROPERTY, ""))
    except ValueError:
        return THRESHOLD_UNKNOWN
    return threshold if threshold > 0 else THRESHOLD_UNKNOWN


def _output(response: ModelInferResponse, name: str) -> Numbers:
    """The values of one output, flat. Its declared shape is not relied on."""
    for number, output in enumerate(response.outputs):
        if output.name == name:
            if output.datatype != "FP32" or number >= len(response.raw_output_contents):
                raise ServiceFailed(f"output {name} is not raw FP32")
            raw = response.raw_output_contents[number]
            if len(raw) % 4:
                raise ServiceFailed(f"output {name} has {len(raw)} bytes")
            return np.frombuffer(raw, "<f4")
    raise ServiceFailed(f"the answer has no output {name}")
