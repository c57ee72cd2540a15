"""A client of the Open Inference Protocol, as far as `meshctl infer` needs one.

Tensors travel in raw form (little-endian, row-major). Pictures are prepared for what the model's
metadata asks for: [1, H, W, C] or [1, C, H, W], one or three channels, UINT8 or FP32 from 0 to 255.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import grpc
import numpy as np
from numpy.typing import NDArray

from node.admin.failures import bad_input, from_rpc
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub

Tensor = NDArray[Any]

DATATYPES = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""The protocol's types that numpy has."""

CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    datatype: str
    data: Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """Outputs by name, the version that answered, and how long it took, the way included."""

    version: str
    outputs: Mapping[str, Tensor]
    took_ms: float


class InferenceClient:
    """Calls one node's inference port over a channel that the caller opens and closes."""

    def __init__(self, channel: grpc.Channel, who: str, timeout_s: float) -> None:
        self._stub = GRPCInferenceServiceStub(channel)
        self._who = who
        self._timeout_s = timeout_s

    def metadata(self, service: str) -> pb.ModelMetadataResponse:
        """Raises Failure."""
        try:
            request = pb.ModelMetadataRequest(name=service)
            reply = self._stub.ModelMetadata(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise from_rpc(error, self._who) from None
        return cast(pb.ModelMetadataResponse, reply)

    def infer(self, service: str, inputs: Sequence[Input]) -> Answer:
        """Raises Failure."""
        request = pb.ModelInferRequest(model_name=service)
        for one in inputs:
            request.inputs.add(name=one.name, datatype=one.datatype, shape=one.data.shape)
            request.raw_input_contents.append(one.data.tobytes())
        began = time.monotonic()
        try:
            reply = self._stub.ModelInfer(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise from_rpc(error, self._who) from None
        took_ms = (time.monotonic() - began) * 1000
        return Answer(reply.model_version, _outputs(reply), took_ms)


def picture_input(
    path: Path, wanted: pb.ModelMetadataResponse.TensorMetadata
) -> tuple[Input, float]:
    """The picture in `path` as the tensor that the model wants, and the scale that was applied.

    The longer side fits the tensor, the picture stands at the top left, the rest is black: a
    length in the picture is one in the tensor divided by the scale. Raises Failure.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise bad_input(f"cannot read {path}: {error.strerror}") from None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise bad_input(f"{path} is no picture that OpenCV can read")
    height, width, channels, channels_last = _picture_shape(wanted)
    if channels == 1:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[:, :, None]
    else:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    tensor = np.zeros((1, height, width, channels), DATATYPES[wanted.datatype])
    tensor[0, : size[1], : size[0]] = small
    if not channels_last:
        tensor = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    return Input(wanted.name, wanted.datatype, tensor), scale


def detections(boxes: Tensor, scores: Tensor, threshold: float, overlap: float = 0.4) -> Tensor:
    """One (x, y, w, h, score) row for each heap of overlapping windows, the best first.

    `boxes` are N rows (x, y, w, h), `scores` N numbers. A heap is the windows that share more than
    `overlap` of the smaller one's area with the best that is left; its box is their mean.
    """
    rows = np.column_stack([boxes.reshape(-1, 4), scores.reshape(-1)])
    rows = rows[rows[:, 4] >= threshold]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    found = []
    while len(rows):
        near = _covered(rows[0], rows) > overlap
        mean = np.append(rows[near, :4].mean(axis=0), rows[0, 4])
        found.append(mean)
        rows = rows[~(near | (_covered(mean, rows) > overlap))]
    return np.array(found, np.float64).reshape(-1, 5)


def same(got: Tensor, golden: Tensor, absolute: float, relative: float) -> bool:
    """Whether every value is within absolute + relative * |golden|; NaN never is."""
    if got.shape != golden.shape:
        return False
    far = np.abs(got.astype(np.float64) - golden) <= absolute + relative * np.abs(golden)
    return bool(far.all())


def raw_tensor(path: Path, datatype: str, shape: Sequence[int]) -> Tensor:
    """The raw tensor in `path`. Raises Failure if its size does not fit its type and shape."""
    if datatype not in DATATYPES:
        raise bad_input(f"{path}: datatype {datatype!r} is none of {', '.join(DATATYPES)}")
    try:
        return np.frombuffer(path.read_bytes(), DATATYPES[datatype]).reshape(tuple(shape))
    except (OSError, ValueError) as error:
        raise bad_input(f"{path}: {error}") from None


def _picture_shape(wanted: pb.ModelMetadataResponse.TensorMetadata) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether the channels come last. Raises Failure."""
    match list(wanted.shape):
        case [1 | -1, height, width, channels] if channels in CHANNELS and height > 0 < width:
            shape = (height, width, channels, True)
        case [1 | -1, channels, height, width] if channels in CHANNELS and height > 0 < width:
            shape = (height, width, channels, False)
        case other:
            raise bad_input(f"the input {wanted.name!r} of shape {other} takes no picture")
    if wanted.datatype not in ("UINT8", "FP32"):
        raise bad_input(f"the input {wanted.name!r} of type {wanted.datatype} takes no picture")
    return shape


def _outputs(reply: pb.ModelInferResponse) -> dict[str, Tensor]:
    """The outputs that numpy can show, by name."""
    found = {}
    for one, raw in zip(reply.outputs, reply.raw_output_contents, strict=False):
        if one.datatype in DATATYPES:
            found[one.name] = np.frombuffer(raw, DATATYPES[one.datatype]).reshape(tuple(one.shape))
    return found


def _covered(box: Tensor, others: Tensor) -> Tensor:
    """The share of the smaller box that `box` and each of `others` have in common."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:4], others[:, :2] + others[:, 2:4])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    smaller = np.minimum(box[2] * box[3], others[:, 2] * others[:, 3])
    return np.asarray(shared / np.maximum(smaller, 1e-9))
