"""Whether a model gives the answers that its makers signed for.

An answer is right within `absolute + relative * |expected|`, value by value. A value that is not a
number is never right, and none is where the golden value is no number. The evidence of a mismatch
names the worst value, for whoever must decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.worker.artifact import Artifact
from node.worker.errors import InvalidError, RefusedError
from node.worker.tensors import BFLOAT16, Array, Typed, decode
from protos.documents_pb2 import GoldenTensor

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """One request and the answer that a good version gives, by tensor name."""

    inputs: dict[str, Typed]
    outputs: dict[str, Typed]


def examples(artifact: Artifact) -> Iterator[Example]:
    """The manifest's golden examples. Raises RefusedError if one of them cannot be read."""
    for golden in artifact.manifest.golden:
        yield Example(
            {tensor.name: _typed(tensor, artifact) for tensor in golden.inputs},
            {tensor.name: _typed(tensor, artifact) for tensor in golden.outputs},
        )


def check(example: Example, actual: dict[str, Typed], absolute: float, relative: float) -> None:
    """Raises RefusedError, with the evidence, unless `actual` answers the example."""
    for name, (datatype, expected) in example.outputs.items():
        if name not in actual:
            raise RefusedError(f"golden check: the model has no output {name!r}")
        given, values = actual[name]
        if given != datatype:
            raise RefusedError(f"golden check: output {name!r} is {given}, not {datatype}")
        want, have = numbers(datatype, expected), numbers(datatype, values)
        _check_output(name, want, have, absolute, relative)


def numbers(datatype: str, values: Array) -> Numbers:
    """Values to compare: as double precision, bfloat16 decoded from its patterns."""
    if datatype == BFLOAT16:
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float64)


def _check_output(
    name: str, expected: Numbers, actual: Numbers, absolute: float, relative: float
) -> None:
    if expected.shape != actual.shape:
        raise RefusedError(
            f"golden check: output {name!r} has the shape {list(actual.shape)} "
            f"instead of {list(expected.shape)}"
        )
    want, have = expected.ravel(), actual.ravel()
    with np.errstate(invalid="ignore"):
        excess = np.abs(have - want) - (absolute + relative * np.abs(want))
    excess[~(np.isfinite(have) & np.isfinite(want))] = np.inf
    wrong = int(np.count_nonzero(excess > 0))
    if wrong:
        worst = int(np.argmax(excess))
        raise RefusedError(
            f"golden check: output {name!r} differs in {wrong} of {want.size} values, most at "
            f"{worst}: {have[worst]:.6g} instead of {want[worst]:.6g} "
            f"(tolerance {absolute:g} + {relative:g} of it)"
        )


def _typed(tensor: GoldenTensor, artifact: Artifact) -> Typed:
    if tensor.file >= len(artifact.files):
        raise RefusedError(f"golden tensor {tensor.name!r} names file {tensor.file}: there is none")
    try:
        raw = artifact.files[tensor.file]
        return tensor.datatype, decode(tensor.name, tensor.datatype, tuple(tensor.shape), raw)
    except InvalidError as error:
        raise RefusedError(f"golden tensor: {error}") from None
