"""Tensors of the inference protocol, good and bad."""

import struct
from collections.abc import Callable

import grpc
import pytest

from node.runtime import codec
from node.runtime.errors import RequestFailed
from node.runtime.tensors import Tensor
from protos.inference_pb2 import ModelInferRequest, ModelInferResponse


def asked(
    datatype: str, shape: list[int], raw: bytes | None = None, **contents: object
) -> ModelInferRequest:
    request = ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (asked("FP32", [2], struct.pack("<2f", 1, 2)), struct.pack("<2f", 1, 2)),
        (asked("FP32", [2], fp32_contents=[1, 2]), struct.pack("<2f", 1, 2)),
        (asked("FP64", [1], fp64_contents=[0.5]), struct.pack("<d", 0.5)),
        (asked("INT8", [2], int_contents=[-1, 5]), struct.pack("<2b", -1, 5)),
        (asked("INT64", [1], int64_contents=[-9]), struct.pack("<q", -9)),
        (asked("UINT16", [1], uint_contents=[65535]), struct.pack("<H", 65535)),
        (asked("UINT64", [1], uint64_contents=[9]), struct.pack("<Q", 9)),
        (asked("BOOL", [2], bool_contents=[True, False]), b"\x01\x00"),
        (asked("BYTES", [2], bytes_contents=[b"ab", b""]), b"\x02\0\0\0ab\0\0\0\0"),
        (asked("BYTES", [1], b"\x02\0\0\0ab"), b"\x02\0\0\0ab"),
        (asked("FP16", [1], b"\x00\x3c"), b"\x00\x3c"),
        (asked("FP32", [0], b""), b""),
    ],
    ids=[
        "raw floats",
        "typed floats",
        "typed doubles",
        "small integers",
        "long integers",
        "unsigned",
        "long unsigned",
        "booleans",
        "typed strings",
        "raw strings",
        "raw half floats",
        "an empty tensor",
    ],
)
def test_good_tensors_become_raw_values(request_: ModelInferRequest, data: bytes) -> None:
    assert [tensor.data for tensor in codec.decode_inputs(request_)] == [data]


def both_given() -> ModelInferRequest:
    return asked("FP32", [1], b"\0\0\0\0", fp32_contents=[1])


def two_inputs(name: str) -> ModelInferRequest:
    request = asked("FP32", [1], b"\0\0\0\0")
    request.inputs.add(name=name, datatype="FP32", shape=[1])
    return request


def with_parameter(name: str) -> ModelInferRequest:
    request = asked("FP32", [1], b"\0\0\0\0")
    request.inputs[0].parameters[name].string_param = "r"
    return request


BAD: list[tuple[str, Callable[[], ModelInferRequest], str]] = [
    ("no inputs", lambda: ModelInferRequest(model_name="m"), "0 inputs"),
    ("raw and typed at once", both_given, "given twice"),
    ("raw for some inputs only", lambda: two_inputs("y"), "1 raw contents for 2 inputs"),
    ("two inputs of one name", lambda: two_inputs("x"), "the same name"),
    ("an unknown type", lambda: asked("FLOAT", [1], b"\0\0\0\0"), "'FLOAT' is not one of"),
    ("too few bytes", lambda: asked("FP32", [2], b"\0\0\0\0"), "needs 8"),
    ("nothing for a shape", lambda: asked("FP32", [2]), "0 bytes of values"),
    ("a negative dimension", lambda: asked("FP32", [-1], b""), "the shape"),
    ("too many dimensions", lambda: asked("FP32", [1] * 17, b"\0\0\0\0"), "the shape"),
    ("a shape that overflows", lambda: asked("INT8", [2**62, 4], b""), "needs"),
    ("typed half floats", lambda: asked("FP16", [1], fp32_contents=[1]), "send it raw"),
    ("the wrong typed field", lambda: asked("INT32", [1], fp32_contents=[1]), "int_contents"),
    ("a value out of range", lambda: asked("INT8", [1], int_contents=[300]), "does not fit"),
    ("a string cut short", lambda: asked("BYTES", [1], b"\x09\0\0\0ab"), "four bytes of length"),
    ("too few strings", lambda: asked("BYTES", [2], b"\0\0\0\0"), "1 strings"),
    ("shared memory", lambda: with_parameter("shared_memory_region"), "not supported"),
    ("more than a message", lambda: asked("UINT8", [1 << 26], bytes(1 << 26)), "larger than 64"),
]


@pytest.mark.parametrize(("make", "text"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
def test_bad_tensors_are_the_callers_fault(
    make: Callable[[], ModelInferRequest], text: str
) -> None:
    with pytest.raises(RequestFailed) as caught:
        codec.decode_inputs(make())
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert text in caught.value.text


def test_outputs_go_out_raw() -> None:
    response = ModelInferResponse()
    codec.encode_outputs([Tensor("y", "FP32", (1, 1), b"\0\0\0\0")], response)
    assert response.outputs[0].name == "y"
    assert list(response.outputs[0].shape) == [1, 1]
    assert list(response.raw_output_contents) == [b"\0\0\0\0"]
