"""Tensors of the Open Inference Protocol, to raw values and back.

A request carries its values either raw, for all tensors in order, or in typed fields, never both.
FP16 and BF16 have no typed field. BYTES are raw as four bytes of length before each string.
Answers are raw. The model's own names, types and shapes are checked where the model is.
"""

import array
import math
from collections.abc import Iterable, Mapping, Sequence

from node.runtime.errors import invalid
from node.runtime.limits import (
    DIMENSIONS_MAX,
    MESSAGE_BYTES_MAX,
    TENSOR_ALIGNMENT_BYTES,
    TENSORS_MAX,
)
from node.runtime.tensors import Tensor
from protos.inference_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse

BYTES = "BYTES"

ITEM_BYTES: Mapping[str, int] = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "BF16": 2,
    "FP32": 4,
    "FP64": 8,
}

TYPED: Mapping[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "b"),
    "UINT8": ("uint_contents", "B"),
    "UINT16": ("uint_contents", "H"),
    "UINT32": ("uint_contents", "I"),
    "UINT64": ("uint64_contents", "Q"),
    "INT8": ("int_contents", "b"),
    "INT16": ("int_contents", "h"),
    "INT32": ("int_contents", "i"),
    "INT64": ("int64_contents", "q"),
    "FP32": ("fp32_contents", "f"),
    "FP64": ("fp64_contents", "d"),
    BYTES: ("bytes_contents", ""),
}
"""The typed field of each type, and the letter of its values in Python's `array`."""

UNSUPPORTED = ("shared_memory_region", "classification")
"""Parameters that ask for what is not done here: better refused than ignored."""


def decode_inputs(request: ModelInferRequest) -> list[Tensor]:
    """The request's tensors, raw. Raises RequestFailed (INVALID_ARGUMENT)."""
    inputs, raw = request.inputs, request.raw_input_contents
    if not 0 < len(inputs) <= TENSORS_MAX:
        raise invalid(f"{len(inputs)} inputs: 1 to {TENSORS_MAX} are allowed")
    if len({tensor.name for tensor in inputs}) != len(inputs):
        raise invalid("two inputs have the same name")
    _refuse_unsupported([*inputs, *request.outputs])
    if raw and len(raw) != len(inputs):
        raise invalid(f"{len(raw)} raw contents for {len(inputs)} inputs: one each, or none")
    tensors = [_decode(tensor, raw[i] if raw else None) for i, tensor in enumerate(inputs)]
    if sum(len(tensor.data) + TENSOR_ALIGNMENT_BYTES for tensor in tensors) > MESSAGE_BYTES_MAX:
        raise invalid(f"the inputs are larger than {MESSAGE_BYTES_MAX >> 20} MiB together")
    return tensors


def encode_outputs(outputs: Sequence[Tensor], into: ModelInferResponse) -> None:
    """Adds the tensors to a response, raw."""
    for tensor in outputs:
        into.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        into.raw_output_contents.append(tensor.data)


def _refuse_unsupported(
    tensors: Iterable[
        ModelInferRequest.InferInputTensor | ModelInferRequest.InferRequestedOutputTensor
    ],
) -> None:
    for tensor in tensors:
        for parameter in UNSUPPORTED:
            if parameter in tensor.parameters:
                raise invalid(f"tensor {tensor.name!r}: the parameter {parameter} is not supported")


def _decode(tensor: ModelInferRequest.InferInputTensor, raw: bytes | None) -> Tensor:
    place, shape = f"input {tensor.name!r}", tuple(tensor.shape)
    if tensor.datatype != BYTES and tensor.datatype not in ITEM_BYTES:
        known = ", ".join([*ITEM_BYTES, BYTES])
        raise invalid(f"{place}: the type {tensor.datatype!r} is not one of {known}")
    if len(shape) > DIMENSIONS_MAX or any(size < 0 for size in shape):
        raise invalid(f"{place}: the shape {list(shape)[:DIMENSIONS_MAX]} is none")
    if raw is None:
        data = _typed(place, tensor.datatype, tensor.contents)
    elif tensor.contents.ByteSize():
        raise invalid(f"{place}: its values are given twice, raw and typed; give one of them")
    else:
        data = raw
    _check_size(place, tensor.datatype, shape, data)
    return Tensor(tensor.name, tensor.datatype, shape, data)


def _check_size(place: str, datatype: str, shape: tuple[int, ...], data: bytes) -> None:
    count = math.prod(shape)
    if datatype == BYTES:
        have = _count_strings(place, data)
        if have != count:
            raise invalid(f"{place}: {have} strings for the shape {list(shape)}: {count} needed")
    elif len(data) != count * ITEM_BYTES[datatype]:
        raise invalid(
            f"{place}: {len(data)} bytes of values, but {datatype} {list(shape)} needs "
            f"{count * ITEM_BYTES[datatype]}"
        )


def _count_strings(place: str, data: bytes) -> int:
    count, at = 0, 0
    while at + 4 <= len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "little")
        count += 1
    if at != len(data):
        raise invalid(f"{place}: raw BYTES are, for each string, four bytes of length and the rest")
    return count


def _typed(place: str, datatype: str, contents: InferTensorContents) -> bytes:
    if datatype not in TYPED:
        raise invalid(f"{place}: {datatype} has no typed contents; send it raw")
    field, letter = TYPED[datatype]
    others = [other.name for other, _ in contents.ListFields() if other.name != field]
    if others:
        raise invalid(f"{place}: {datatype} belongs into {field}, not {others[0]}")
    values = getattr(contents, field)
    if datatype == BYTES:
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    return _pack(place, datatype, letter, values)


def _pack(place: str, datatype: str, letter: str, values: Sequence[float]) -> bytes:
    try:
        packed = array.array(letter, values)
    except OverflowError:
        raise invalid(f"{place}: a value does not fit into {datatype}") from None
    return packed.tobytes()
