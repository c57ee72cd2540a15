"""Values between bytes, shared memory and arrays."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from node.worker.errors import FailedError, InvalidError
from node.worker.limits import INLINE_BYTES_MAX
from node.worker.tensors import Array, SharedMemory, decode, encode, to_array, to_tensors
from protos.runtime_pb2 import WorkerTensor

HALF = 1 << 20


@pytest.fixture
def shared() -> Iterator[SharedMemory]:
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, 2 * HALF)
    yield SharedMemory(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("datatype", "array"),
    [
        ("FP32", np.array([[1, 2]], np.float32)),
        ("FP16", np.array([1, 2], np.float16)),
        ("BF16", np.array([16256], np.uint16)),
        ("BOOL", np.array([True, False])),
        ("INT64", np.array([[-1], [5]], np.int64)),
        ("BYTES", np.array([b"ab", b""], np.bytes_)),
    ],
    ids=["floats", "half floats", "bfloat16", "booleans", "integers", "strings"],
)
def test_what_is_encoded_decodes_to_the_same(datatype: str, array: Array) -> None:
    again = decode("x", datatype, array.shape, encode(datatype, array))
    assert again.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FLOAT", (1,), b"\0\0\0\0"),
        ("FP32", (2,), b"\0\0\0\0"),
        ("FP32", (-1,), b""),
        ("INT8", (2**40, 2**40), b""),
        ("BYTES", (1,), b"\x09\0\0\0ab"),
        ("BYTES", (2,), b"\0\0\0\0"),
    ],
    ids=["unknown type", "too few", "negative", "overflow", "cut string", "too few strings"],
)
def test_bytes_that_do_not_fit_are_refused(
    datatype: str, shape: tuple[int, ...], raw: bytes
) -> None:
    with pytest.raises(InvalidError):
        decode("x", datatype, shape, raw)


def test_small_outputs_go_inline_and_large_ones_through_memory(shared: SharedMemory) -> None:
    small, large = np.ones(4, np.float32), np.ones(INLINE_BYTES_MAX, np.uint8)
    outputs = {"s": ("FP32", small), "a": ("UINT8", large), "b": ("UINT8", large)}
    tensors = to_tensors(outputs, shared)
    assert tensors[0].data == small.tobytes()
    assert [tensor.length for tensor in tensors] == [0, INLINE_BYTES_MAX, INLINE_BYTES_MAX]
    assert tensors[1].offset == HALF
    assert tensors[2].offset == HALF + INLINE_BYTES_MAX


def test_an_output_without_room_is_refused(shared: SharedMemory) -> None:
    with pytest.raises(InvalidError, match="larger than 1 MiB"):
        to_tensors({"y": ("UINT8", np.zeros(HALF + 1, np.uint8))}, shared)


def test_an_input_outside_the_memory_is_refused(shared: SharedMemory) -> None:
    tensor = WorkerTensor(name="x", datatype="UINT8", shape=[8], offset=HALF, length=8)
    with pytest.raises(InvalidError, match="outside"):
        to_array(tensor, shared)


def test_an_input_in_memory_is_used_in_place(shared: SharedMemory) -> None:
    tensor = WorkerTensor(name="x", datatype="UINT8", shape=[8], offset=64, length=8)
    array = to_array(tensor, shared)
    assert array.flags.writeable
    assert array.tolist() == [0] * 8


def test_an_output_of_another_type_than_promised_is_an_error() -> None:
    with pytest.raises(FailedError, match="promised"):
        encode("FP32", np.ones(1, np.float64))
