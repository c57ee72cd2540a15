"""Tensors between the shared memory and NumPy, and the inference protocol's names of types.

The shared memory has two halves: the runtime writes requests into the first, the worker writes
answers into the second. Its size is sealed, so neither side can pull it from under the other.
"""

import mmap
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from node.worker.errors import FailedError, InvalidError
from node.worker.limits import INLINE_BYTES_MAX, TENSOR_ALIGNMENT_BYTES
from protos.runtime_pb2 import WorkerTensor

Array = npt.NDArray[np.generic]
Typed = tuple[str, Array]
"""A datatype in the inference protocol's words, and the values."""

BYTES = "BYTES"
BFLOAT16 = "BF16"
"""NumPy has no bfloat16: its values travel as the 16-bit patterns that they are."""

DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    BFLOAT16: np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}


class SharedMemory:
    """The worker's view of the memory that it shares with the runtime."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, 0)
        self._half = len(self._map) // 2
        self._view = memoryview(self._map)

    def request(self, offset: int, length: int) -> memoryview:
        """`length` bytes at `offset` of the request's half, in place.

        Raises InvalidError if they lie outside.
        """
        if offset + length > self._half:
            raise InvalidError(f"{length} bytes at {offset} lie outside the shared memory")
        return self._view[offset : offset + length]

    def answer(self, offset: int, data: memoryview) -> int:
        """Writes `data` at `offset` of the answer's half; its offset from the whole's start.

        Raises InvalidError if the half has no room: the request asks for too large an answer.
        """
        if offset + len(data) > self._half:
            raise InvalidError(
                f"the outputs are larger than {self._half >> 20} MiB: ask for fewer or smaller ones"
            )
        start = self._half + offset
        self._view[start : start + len(data)] = data
        return start


def to_array(tensor: WorkerTensor, shared: SharedMemory) -> Array:
    """The values of a request's tensor; of large ones a view into the shared memory.

    Raises InvalidError if type, shape and number of bytes do not fit each other.
    """
    raw = shared.request(tensor.offset, tensor.length) if tensor.length else tensor.data
    return decode(tensor.name, tensor.datatype, tuple(tensor.shape), raw)


def decode(name: str, datatype: str, shape: tuple[int, ...], raw: bytes | memoryview) -> Array:
    """Raw little-endian values as an array of `shape`.

    Raises InvalidError if type, shape and number of bytes do not fit each other.
    """
    if datatype == BYTES:
        return _strings(name, shape, bytes(raw))
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise InvalidError(f"input {name!r}: the type {datatype!r} is not known")
    if min(shape, default=0) < 0 or _count(shape) * dtype.itemsize != len(raw):
        raise InvalidError(f"input {name!r}: {len(raw)} bytes are no {datatype} {list(shape)}")
    return np.frombuffer(raw, dtype).reshape(shape)


def to_tensors(outputs: Mapping[str, Typed], shared: SharedMemory) -> list[WorkerTensor]:
    """The outputs as messages: small ones inline, the rest in the shared memory."""
    tensors, offset, inline = [], 0, 0
    for name, (datatype, array) in outputs.items():
        tensor = WorkerTensor(name=name, datatype=datatype, shape=array.shape)
        raw = encode(datatype, array)
        if inline + len(raw) <= INLINE_BYTES_MAX:
            tensor.data = bytes(raw)
            inline += len(raw)
        else:
            tensor.offset, tensor.length = shared.answer(offset, raw), len(raw)
            offset += -(-len(raw) // TENSOR_ALIGNMENT_BYTES) * TENSOR_ALIGNMENT_BYTES
        tensors.append(tensor)
    return tensors


def encode(datatype: str, array: Array) -> memoryview:
    """An array's raw values, row by row; strings each after four bytes of length."""
    if datatype == BYTES:
        parts = array.ravel().tolist()
        return memoryview(b"".join(len(part).to_bytes(4, "little") + part for part in parts))
    contiguous = np.ascontiguousarray(array)
    if contiguous.dtype != DTYPES[datatype]:
        raise FailedError(f"OpenVINO gave {contiguous.dtype} where {datatype} was promised")
    return contiguous.reshape(-1).view(np.uint8).data


def _strings(name: str, shape: tuple[int, ...], raw: bytes) -> Array:
    values, at = [], 0
    while at + 4 <= len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        values.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(raw) or len(values) != _count(shape):
        raise InvalidError(f"input {name!r}: the bytes are not {list(shape)} strings after lengths")
    return np.array(values, dtype=np.bytes_).reshape(shape)


def _count(shape: tuple[int, ...]) -> int:
    # Python's integers, not NumPy's: a product of hostile dimensions must not wrap around.
    count = 1
    for dimension in shape:
        count *= dimension
    return count
