"""A model in OpenVINO: compiled, warmed, checked against its golden outputs, then run.

Read from verified bytes in memory where OpenVINO can (IR, ONNX); TFLite and Paddle are read from
files of our own making in a private scratch folder, since their readers want names.

Precision: a CPU with bfloat16 units computes a model several times faster in them, and a little
differently from its neighbour. The golden outputs and their tolerance, which the model's makers
signed, say whether that little matters: where the fast answers are within it, they are used; where
they are not, or there are no golden outputs, the model is computed in the precision that it states.

Run by `start_async` and `wait`, though one at a time: in OpenVINO 2026.4 the synchronous `infer`
swallows what goes wrong within a dynamic model (an allocation, shapes that do not fit) and returns
empty outputs as if they were the answer; `wait` raises it.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from node.unseen import unseen
from node.worker.artifact import Artifact
from node.worker.errors import FailedError, InvalidError, RefusedError
from node.worker.golden import Example, check, examples
from node.worker.limits import GOLDEN_RUNS_MIN, LATENCY_ROUNDS_MAX
from node.worker.tensors import BFLOAT16, BYTES, Array, Typed
from protos.runtime_pb2 import ReplicaSpec, TensorInfo, WorkerLoaded

with unseen("openvino.tools.ovc"):  # converts models of other frameworks: 14 MiB and 80 ms
    import openvino as ov

DATATYPES = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "bf16": BFLOAT16,
    "f32": "FP32",
    "f64": "FP64",
    "string": BYTES,
}
"""OpenVINO's names of types and the inference protocol's."""

ANY = -1
"""A dimension that the model leaves open."""


class Model:
    """One compiled model and its one inference request. Not for use by several threads."""

    def __init__(self, artifact: Artifact, spec: ReplicaSpec, mode: str) -> None:
        """`mode`: PERFORMANCE or ACCURACY. Raises RefusedError if OpenVINO cannot make a model of
        these bytes here."""
        self._compiled = _compile(artifact, spec, mode)
        self._request = self._compiled.create_infer_request()
        self.inputs = [_describe(port) for port in self._compiled.inputs]
        self.outputs = [_describe(port) for port in self._compiled.outputs]

    def infer(self, inputs: dict[str, Typed], outputs: Sequence[str]) -> dict[str, Typed]:
        """The datatype and values of each of `outputs` (empty: all), by name.

        The arrays hold until the next call. Raises InvalidError if the request does not fit the
        model, FailedError if OpenVINO gives up, for want of memory for instance.
        """
        self._check(inputs, outputs)
        values = [_input(inputs[info.name][1], info) for info in self.inputs]
        try:
            for index, value in enumerate(values):
                self._request.set_input_tensor(index, value)
            self._request.start_async()
            self._request.wait()
            return self._answers(outputs)
        except (RuntimeError, MemoryError) as error:
            raise FailedError(f"OpenVINO could not compute this: {last_line(error)}") from None

    def _answers(self, wanted: Sequence[str]) -> dict[str, Typed]:
        answers = {}
        for index, info in enumerate(self.outputs):
            if not wanted or info.name in wanted:
                tensor = self._request.get_output_tensor(index)
                answers[info.name] = (info.datatype, _output(tensor, info))
        return answers

    def _check(self, inputs: dict[str, Typed], outputs: Sequence[str]) -> None:
        wanted = {info.name for info in self.inputs}
        if inputs.keys() != wanted:
            raise InvalidError(f"inputs {sorted(inputs)} given, the model takes {sorted(wanted)}")
        for info in self.inputs:
            _check_input(info, *inputs[info.name])
        unknown = set(outputs) - {info.name for info in self.outputs}
        if unknown:
            raise InvalidError(f"the model has no output {sorted(unknown)[0]!r}")


def load(artifact: Artifact, spec: ReplicaSpec) -> tuple[Model, WorkerLoaded]:
    """A model that may serve, and what the runtime should know about it.

    Raises RefusedError if it must not: not a model, wrong golden outputs, too slow, too large.
    """
    try:
        checked = list(examples(artifact))
        model = _within_tolerance(artifact, spec, checked)
        latencies = _latencies(model, checked, spec.max_latency_ms)
    except MemoryError:
        raise RefusedError(f"the model needs more memory than {_cap(spec)}") from None
    loaded = WorkerLoaded(inputs=model.inputs, outputs=model.outputs, golden_checked=len(checked))
    loaded.threshold = artifact.manifest.threshold
    if latencies:
        loaded.golden_latency_us_max = int(max(latencies) * 1e6)
        loaded.golden_latency_us_median = int(statistics.median(latencies) * 1e6)
    return model, loaded


def _within_tolerance(artifact: Artifact, spec: ReplicaSpec, checked: Sequence[Example]) -> Model:
    """The model in the fastest precision in which its golden answers are right."""
    if checked:
        try:
            fast = Model(artifact, spec, "PERFORMANCE")
            _check_golden(fast, checked, artifact)
            return fast
        except RefusedError:
            pass  # as stated by the model, it may be right
    exact = Model(artifact, spec, "ACCURACY")
    _check_golden(exact, checked, artifact)
    return exact


def last_line(error: BaseException) -> str:
    """The part of OpenVINO's message that says what happened: its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _compile(artifact: Artifact, spec: ReplicaSpec, mode: str) -> ov.CompiledModel:
    core = ov.Core()
    device = spec.device or "CPU"
    if device not in core.available_devices:
        raise RefusedError(f"device {device!r} is not here: {', '.join(core.available_devices)}")
    options: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        "EXECUTION_MODE_HINT": mode,
    }
    if device == "CPU":
        options["INFERENCE_NUM_THREADS"] = max(1, spec.cores)
    try:
        return core.compile_model(_read(core, artifact), device, options)
    except RuntimeError as error:
        # OpenVINO reports an allocation that failed as any other error.
        reason = last_line(error)
        if "bad_alloc" in str(error) or "allocat" in reason:
            raise MemoryError from None
        raise RefusedError(f"OpenVINO cannot use this model: {reason}") from None


def _read(core: ov.Core, artifact: Artifact) -> ov.Model:
    if "xml" in artifact.format:
        weights = artifact.of_role("bin")
        return core.read_model(artifact.of_role("xml"), weights or b"")
    if "onnx" in artifact.format:
        return core.read_model(artifact.of_role("onnx"))
    with tempfile.TemporaryDirectory() as folder:
        for role in artifact.format:
            (Path(folder) / f"model.{role}").write_bytes(artifact.of_role(role) or b"")
        main = "tflite" if "tflite" in artifact.format else "pdmodel"
        return core.read_model(str(Path(folder) / f"model.{main}"))


def _describe(port: ov.ConstOutput) -> TensorInfo:
    name = port.get_any_name() if port.names else port.get_node().friendly_name
    datatype = DATATYPES.get(port.element_type.get_type_name())
    if datatype is None:
        raise RefusedError(f"tensor {name!r} has the type {port.element_type}: not served here")
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        raise RefusedError(f"tensor {name!r} has no number of dimensions: give it a shape")
    sizes = [ANY if size.is_dynamic else size.get_length() for size in shape]
    return TensorInfo(name=name, datatype=datatype, shape=sizes)


def _check_input(info: TensorInfo, datatype: str, array: Array) -> None:
    if datatype != info.datatype:
        raise InvalidError(
            f"input {info.name!r} has the type {datatype}, the model takes {info.datatype}"
        )
    fits = len(array.shape) == len(info.shape) and all(
        want in (ANY, have) for want, have in zip(info.shape, array.shape, strict=True)
    )
    if not fits:
        raise InvalidError(
            f"input {info.name!r} has the shape {list(array.shape)}, "
            f"the model takes {list(info.shape)}"
        )


def _input(array: Array, info: TensorInfo) -> ov.Tensor:
    if info.datatype == BYTES:
        return ov.Tensor(array)
    # OpenVINO takes arrays in place only if it could write to them.
    own = array if array.flags.writeable else array.copy()
    if info.datatype == BFLOAT16:
        return ov.Tensor(own, own.shape, ov.Type.bf16)
    return ov.Tensor(own, shared_memory=True)


def _output(tensor: ov.Tensor, info: TensorInfo) -> Array:
    if info.datatype == BYTES:
        strings: Array = tensor.bytes_data
        return strings
    values: Array = tensor.data
    # What NumPy is told about bfloat16 is wrong; its bits are right.
    return values.view(np.uint16) if info.datatype == BFLOAT16 else values


def _check_golden(model: Model, checked: Sequence[Example], artifact: Artifact) -> None:
    """Raises RefusedError unless every golden answer is right."""
    manifest = artifact.manifest
    for example in checked:
        answers = _run(model, example)
        check(example, answers, manifest.tolerance_absolute, manifest.tolerance_relative)


def _latencies(model: Model, checked: Sequence[Example], latency_ms_max: int) -> list[float]:
    """Seconds of each run of the best round; the check before has warmed the model up."""
    if not checked:
        return []
    best: list[float] = []
    for _ in range(LATENCY_ROUNDS_MAX):
        latencies = _time(model, checked)
        best = min(best or latencies, latencies, key=statistics.median)
        if not latency_ms_max or statistics.median(best) * 1000 <= latency_ms_max:
            return best
    raise RefusedError(
        f"too slow: the golden inputs take {statistics.median(best) * 1000:.1f} ms (median), the "
        f"gate allows {latency_ms_max} ms; give the replica more cores or raise maxLatency"
    )


def _run(model: Model, example: Example) -> dict[str, Typed]:
    try:
        return model.infer(example.inputs, ())
    except (InvalidError, FailedError) as error:
        raise RefusedError(f"golden check: {error}") from None


def _time(model: Model, checked: Sequence[Example]) -> list[float]:
    runs = -(-GOLDEN_RUNS_MIN // len(checked))
    latencies = []
    for example in list(checked) * runs:
        begun = time.perf_counter()
        _run(model, example)
        latencies.append(time.perf_counter() - begun)
    return latencies


def _cap(spec: ReplicaSpec) -> str:
    return f"{spec.memory_bytes >> 20} MiB" if spec.memory_bytes else "its share"
