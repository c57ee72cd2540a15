"""Models in OpenVINO: which serve, which are refused, and what requests they take."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from node.worker.artifact import read_artifact
from node.worker.errors import FailedError, InvalidError, RefusedError
from node.worker.model import Model, last_line, load
from node.worker.tensors import Array
from protos.runtime_pb2 import WorkerLoaded
from tests.node.worker.models import ONES, Recipe, adder, build, save, wrong


def loaded(folder: Path, recipe: Recipe, **spec: object) -> tuple[Model, WorkerLoaded]:
    built = build(folder / "built", recipe)
    for name, value in spec.items():
        setattr(built.spec, name, value)
    return load(read_artifact(built.spec.manifest, built.spec.files), built.spec)


def onnx_adder() -> bytes:
    """y = x + x in ONNX, written field by field."""

    def field(number: int, value: int | str | bytes) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        data = value.encode() if isinstance(value, str) else value
        return bytes([number << 3 | 2, len(data)]) + data

    def tensor(name: str) -> bytes:
        shape = field(1, field(1, 1)) + field(1, field(1, 4))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, "x") + field(1, "x") + field(2, "y") + field(4, "Add")
    graph = field(1, node) + field(2, "g") + field(11, tensor("x")) + field(12, tensor("y"))
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph)


def test_a_good_model_serves_and_says_what_it_takes(tmp_path: Path) -> None:
    model, told = loaded(tmp_path, adder(tmp_path / "saved"))
    assert (told.inputs[0].name, told.inputs[0].datatype) == ("x", "FP32")
    assert list(told.outputs[0].shape) == [1, 4]
    assert told.golden_checked == 1
    assert told.golden_latency_us_max >= told.golden_latency_us_median > 0
    assert told.threshold == 0.5
    assert model.infer({"x": ("FP32", ONES)}, ())["y"][1].tolist() == [[2.0] * 4]


def test_onnx_is_read_from_the_verified_bytes(tmp_path: Path) -> None:
    recipe = Recipe({"onnx": onnx_adder()}, {"x": ONES}, {"y": ONES * 2})
    model, _ = loaded(tmp_path, recipe)
    assert model.infer({"x": ("FP32", ONES * 3)}, ["y"])["y"][1].tolist() == [[6.0] * 4]


def nan(folder: Path) -> Recipe:
    x = op.parameter([1, 4], dtype=np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    return Recipe(save(folder, x, op.sqrt(x)), {"x": -ONES}, {"y": ONES})


def other_shape(folder: Path) -> Recipe:
    return replace(adder(folder), outputs={"y": np.ones((4,), np.float32)})


def other_output(folder: Path) -> Recipe:
    return replace(adder(folder), outputs={"z": ONES})


def other_input(folder: Path) -> Recipe:
    return replace(adder(folder), inputs={"z": ONES})


def integer_golden(folder: Path) -> Recipe:
    recipe = adder(folder)
    return replace(recipe, inputs={"x": np.ones((1, 3), np.float32)})


def garbage(folder: Path) -> Recipe:
    return Recipe({"xml": b"this is no model", "bin": b"\0"})


def half(folder: Path) -> Recipe:
    recipe = adder(folder)
    return replace(recipe, files={**recipe.files, "xml": recipe.files["xml"][:400]})


def not_tflite(folder: Path) -> Recipe:
    return Recipe({"tflite": b"this is no model"})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: wrong(adder(folder)), "differs in 4 of 4 values"),
        (nan, "nan instead of 1"),
        (other_shape, "shape"),
        (other_output, "no output 'z'"),
        (other_input, "the model takes"),
        (integer_golden, "has the shape"),
        (garbage, "cannot use this model"),
        (half, "cannot use this model"),
        (not_tflite, "cannot use this model"),
    ],
    ids=[
        "other answers than the golden ones",
        "an answer that is not a number",
        "a golden output of another shape",
        "a golden output that it lacks",
        "a golden input that it lacks",
        "a golden input of another shape",
        "not a model",
        "half a model",
        "not a TFLite model",
    ],
)
def test_refused(tmp_path: Path, make: object, text: str) -> None:
    assert callable(make)
    with pytest.raises(RefusedError, match=text):
        loaded(tmp_path, make(tmp_path / "saved"))


def test_a_model_that_is_too_slow_for_its_gate_is_refused(tmp_path: Path) -> None:
    x = op.parameter([512, 512], dtype=np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    y = x
    for _ in range(12):
        y = op.relu(op.matmul(y, op.constant(np.eye(512, dtype=np.float32)), False, False))
    values = np.ones((512, 512), np.float32)
    recipe = Recipe(save(tmp_path / "saved", x, y), {"x": values}, {"y": values})
    with pytest.raises(RefusedError, match="too slow"):
        loaded(tmp_path, recipe, max_latency_ms=1)


def test_a_model_that_is_fast_enough_serves(tmp_path: Path) -> None:
    _, told = loaded(tmp_path, adder(tmp_path / "saved"), max_latency_ms=1000)
    assert told.golden_latency_us_median < 1_000_000


def test_a_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="'TPU' is not here: CPU"):
        loaded(tmp_path, adder(tmp_path / "saved"), device="TPU")


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        ({"z": ("FP32", ONES)}, [], r"\['z'\] given, the model takes \['x'\]"),
        ({}, [], r"\[\] given"),
        ({"x": ("INT32", ONES.astype(np.int32))}, [], "type INT32, the model takes FP32"),
        ({"x": ("FP32", np.ones((2, 4), np.float32))}, [], r"shape \[2, 4\]"),
        ({"x": ("FP32", np.ones(4, np.float32))}, [], r"shape \[4\]"),
        ({"x": ("FP32", ONES)}, ["z"], "no output 'z'"),
    ],
    ids=["wrong name", "nothing", "wrong type", "wrong shape", "wrong rank", "wrong output"],
)
def test_a_request_that_does_not_fit_is_refused_and_harms_nothing(
    tmp_path: Path, inputs: dict[str, tuple[str, Array]], outputs: list[str], text: str
) -> None:
    model, _ = loaded(tmp_path, adder(tmp_path / "saved"))
    with pytest.raises(InvalidError, match=text):
        model.infer(inputs, outputs)
    assert model.infer({"x": ("FP32", ONES)}, ())["y"][1][0, 0] == 2.0


def test_an_open_dimension_takes_any_size(tmp_path: Path) -> None:
    model, told = loaded(tmp_path, adder(tmp_path / "saved", dynamic=True))
    assert list(told.inputs[0].shape) == [-1, 4]
    assert model.infer({"x": ("FP32", np.ones((7, 4), np.float32))}, ())["y"][1].shape == (7, 4)


@pytest.mark.parametrize(
    ("kind", "datatype", "values"),
    [
        (ov.Type.bf16, "BF16", np.array([16256, 16384], np.uint16)),
        (ov.Type.f16, "FP16", np.array([1, 2], np.float16)),
        (ov.Type.boolean, "BOOL", np.array([True, False])),
        (ov.Type.string, "BYTES", np.array([b"ab", b"c"], np.bytes_)),
    ],
    ids=["bfloat16", "half floats", "booleans", "strings"],
)
def test_other_types_pass_unchanged(
    tmp_path: Path, kind: ov.Type, datatype: str, values: Array
) -> None:
    x = op.parameter([2], dtype=kind, name="x")
    x.output(0).get_tensor().set_names({"x"})
    path = tmp_path / "saved.xml"
    ov.save_model(ov.Model([op.result(x)], [x], "same"), path, compress_to_fp16=False)
    model, told = loaded(tmp_path, Recipe({"xml": path.read_bytes()}))
    assert told.inputs[0].datatype == datatype
    answer = next(iter(model.infer({"x": (datatype, values)}, ()).values()))
    assert answer[0] == datatype
    assert answer[1].tolist() == values.tolist()


def test_an_inference_that_openvino_gives_up_fails_alone(tmp_path: Path) -> None:
    x = op.parameter(ov.PartialShape([-1, -1]), dtype=np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    model, _ = loaded(tmp_path, Recipe(save(tmp_path / "saved", x, op.matmul(x, x, False, False))))
    with pytest.raises(FailedError, match="could not compute"):
        model.infer({"x": ("FP32", np.ones((2, 3), np.float32))}, ())
    assert model.infer({"x": ("FP32", np.ones((1, 1), np.float32))}, ())["y"][1].tolist() == [[1]]


def test_an_error_without_words_is_named() -> None:
    assert last_line(RuntimeError()) == "RuntimeError"
