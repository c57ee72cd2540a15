"""The request that the load client sends, and the check of its answers.

Both come from the golden folder beside a model: golden.json is a list of cases, each with
`inputs` and `outputs` (name, datatype, shape, file of raw little-endian values) and a
`tolerance` (absolute, relative). An answer is right when each value v of each output that was
asked for differs from the golden g by at most absolute + relative * |g|; NaN never does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from protos.inference_pb2 import ModelInferRequest, ModelInferResponse

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""The inference protocol's fixed-size types, as numpy reads their raw contents."""

Values = NDArray[Any]


class BadGolden(ValueError):
    """The golden folder cannot be used; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One golden tensor: its name, protocol datatype, shape and raw values."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes

    def values(self) -> Values:
        """The values as float64, flat."""
        return np.frombuffer(self.raw, DTYPES[self.datatype]).astype(np.float64)


@dataclass(slots=True)
class Golden:
    """One golden case: a request and the answer that a good model gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    absolute: float
    relative: float
    _right: dict[str, bytes] = field(default_factory=dict)
    """By output, the raw contents that were right last: the same bytes need no second look."""

    def request(self, service: str) -> bytes:
        """The encoded ModelInferRequest, asking for the golden outputs only."""
        request = ModelInferRequest(model_name=service)
        for tensor in self.inputs:
            request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            request.raw_input_contents.append(tensor.raw)
        for tensor in self.outputs:
            request.outputs.add(name=tensor.name)
        return request.SerializeToString()

    def fault(self, answer: bytes) -> str | None:
        """What is wrong with an encoded ModelInferResponse; None: it is right."""
        try:
            response = ModelInferResponse.FromString(answer)
        except DecodeError:
            return "the answer is no ModelInferResponse"
        if len(response.raw_output_contents) != len(response.outputs):
            return "the outputs are not in raw form"
        given = {
            output.name: (output.datatype, tuple(output.shape), raw)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        faults = (self._fault_of(tensor, given.get(tensor.name)) for tensor in self.outputs)
        return next((fault for fault in faults if fault is not None), None)

    def _fault_of(
        self, golden: Tensor, given: tuple[str, tuple[int, ...], bytes] | None
    ) -> str | None:
        if given is None:
            return f"output {golden.name} is missing"
        datatype, shape, raw = given
        if (datatype, shape) != (golden.datatype, golden.shape):
            return f"output {golden.name} is {datatype} {list(shape)}"
        if raw == self._right.get(golden.name):
            return None
        if len(raw) != len(golden.raw):
            return f"output {golden.name} has {len(raw)} bytes"
        return self._far_off(golden, raw)

    def _far_off(self, golden: Tensor, raw: bytes) -> str | None:
        want = golden.values()
        off = np.abs(np.frombuffer(raw, DTYPES[golden.datatype]).astype(np.float64) - want)
        within = off <= self.absolute + self.relative * np.abs(want)
        if not within.all():
            return f"output {golden.name}: {int((~within).sum())} of {want.size} values are off"
        self._right[golden.name] = raw
        return None


def read_golden(folder: Path, case: int = 0, outputs: Sequence[str] | None = None) -> Golden:
    """Read one case of a golden folder, with all outputs or only those named.

    Raises BadGolden when a file is missing or its size does not fit its shape.
    """
    path = folder / "golden.json"
    try:
        found = json.loads(path.read_text())[case]
        tensors = [_tensor(folder, entry) for entry in found["inputs"]]
        golden = [
            _tensor(folder, e) for e in found["outputs"] if not outputs or e["name"] in outputs
        ]
        tolerance = found["tolerance"]
        absolute, relative = float(tolerance["absolute"]), float(tolerance["relative"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        if isinstance(error, BadGolden):
            raise
        raise BadGolden(f"{path}, case {case}: {type(error).__name__}: {error}") from error
    missing = set(outputs or ()) - {tensor.name for tensor in golden}
    if missing:
        raise BadGolden(f"{path}, case {case}: has no output {', '.join(sorted(missing))}")
    return Golden(tuple(tensors), tuple(golden), absolute, relative)


def _tensor(folder: Path, entry: dict[str, Any]) -> Tensor:
    shape = tuple(int(length) for length in entry["shape"])
    raw = (folder / entry["file"]).read_bytes()
    wanted = int(np.prod(shape)) * np.dtype(DTYPES[entry["datatype"]]).itemsize
    if len(raw) != wanted:
        raise BadGolden(f"{folder / entry['file']}: {len(raw)} bytes; its shape needs {wanted}")
    return Tensor(entry["name"], entry["datatype"], shape, raw)
