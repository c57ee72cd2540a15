"""What `meshctl model push PATH` finds at PATH: which files, in which roles, with which goldens.

A file: a model (`.xml` takes the `.bin` of the same name along), or else data. A folder: one model
with its companion, the golden requests in it or in its subfolder `golden/`, and `STEM.json` with
the `threshold`; what else lies there is left out and named. A folder without a model is refused,
because nobody could say which of its files are meant.

The look into the files is shallow: it finds the wrong file, the empty one and the truncated one.
Whether a model loads and answers right is for the worker to find out.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.admin.failures import bad_input
from node.admin.golden_checks import not_finite, unnamed

COMPANIONS = {"xml": "bin", "onnx": "", "tflite": "", "pdmodel": "pdiparams"}
"""What a model starts from, by suffix, and the suffix of what it needs beside it."""

HEAD_BYTES = 4096
"""Of a file, looked at from its start and from its end."""

JSON_BYTES_MAX = 1024 * 1024
"""Of golden.json or STEM.json: 16 requests of 32 tensors are 100 KB."""

_IR_ROOT = re.compile(rb"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<net[\s>]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SourceFile:
    role: str
    path: Path


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a golden request; `file` is its index among the source's files."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    file: int


@dataclass(frozen=True, slots=True)
class GoldenCase:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(slots=True)
class Source:
    """Everything that goes into an artifact."""

    kind: str  # model, data
    files: list[SourceFile]
    golden: list[GoldenCase] = field(default_factory=list)
    tolerance_absolute: float = 0.0
    tolerance_relative: float = 0.0
    threshold: float = 0.0
    left_out: list[str] = field(default_factory=list)


def find(path: Path) -> Source:
    """What is at `path`. Raises Failure for whatever cannot be pushed."""
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise bad_input(f"{path} does not exist; give a model's file or folder, or any other file")
    suffix = path.suffix.removeprefix(".")
    if suffix in COMPANIONS:
        return _from_model(path)
    _check_not_empty(path)
    return Source("data", [SourceFile("data", path)])


def _from_folder(folder: Path) -> Source:
    models = sorted(one for one in folder.iterdir() if one.suffix.removeprefix(".") in COMPANIONS)
    kinds = ", ".join(f".{suffix}" for suffix in COMPANIONS)
    if not models:
        raise bad_input(f"{folder} holds no model ({kinds}); to push data, give one file")
    if len(models) > 1:
        names = ", ".join(one.name for one in models)
        raise bad_input(f"{folder} holds several models ({names}); give the one that is meant")
    source = _from_model(models[0])
    for golden in (folder, folder / "golden"):
        if (golden / "golden.json").is_file():
            add_golden(source, golden)
            break
    used = {one.path for one in source.files} | {models[0].with_suffix(".json")}
    files = sorted(one for one in folder.iterdir() if one.is_file() and one not in used)
    source.left_out = [one.name for one in files if one.name != "golden.json"]
    return source


def _from_model(path: Path) -> Source:
    role = path.suffix.removeprefix(".")
    _check_not_empty(path)
    CHECKS[role](path)
    source = Source("model", [SourceFile(role, path)])
    companion = COMPANIONS[role]
    if companion:
        beside = path.with_suffix(f".{companion}")
        if not beside.is_file():
            raise bad_input(f"{beside} is missing: {path.name} cannot be loaded without it")
        _check_not_empty(beside)
        source.files.append(SourceFile(companion, beside))
    source.threshold = _threshold(path.with_suffix(".json"))
    return source


def add_golden(source: Source, folder: Path) -> None:
    """Takes the golden requests of `folder/golden.json`. Raises Failure for a bad one."""
    path = folder / "golden.json"
    cases = _read_json(path)
    if not isinstance(cases, list) or not cases:
        raise bad_input(f"{path} is no list of cases; remove it to push without golden requests")
    try:
        tolerances = {
            (float(one["tolerance"]["absolute"]), float(one["tolerance"]["relative"]))
            for one in cases
        }
        source.golden = [
            GoldenCase(
                tuple(_tensor(source, folder, tensor) for tensor in case["inputs"]),
                tuple(_tensor(source, folder, tensor) for tensor in case["outputs"]),
            )
            for case in cases
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_input(
            f"{path}: a case lacks {error} or has something else in its place"
        ) from None
    _check_golden(source, path)
    if len(tolerances) != 1:
        raise bad_input(f"{path}: its cases have different tolerances; an artifact has one")
    source.tolerance_absolute, source.tolerance_relative = tolerances.pop()


def _check_golden(source: Source, path: Path) -> None:
    """Raises Failure where no answer of the model can be right."""
    model = source.files[0]
    for number, case in enumerate(source.golden):
        for side, tensors in (("inputs", case.inputs), ("outputs", case.outputs)):
            place = f"{path}: case {number}, {side}"
            missing = unnamed(model.path, model.role, [tensor.name for tensor in tensors])
            if missing:
                raise bad_input(f"{place}: {model.path.name} has no tensor {missing[0]!r}")
        for tensor in case.outputs:
            why = not_finite(source.files[tensor.file].path, tensor.datatype)
            if why:
                raise bad_input(f"{path}: case {number}, output {tensor.name!r}: {why}")


def _tensor(source: Source, folder: Path, entry: dict[str, Any]) -> Tensor:
    name = str(entry["file"])
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise bad_input(f"{folder / 'golden.json'} names the file {name!r}, which is not beside it")
    _check_not_empty(path)
    paths = [one.path for one in source.files]
    if path not in paths:
        source.files.append(SourceFile("golden", path))
        paths.append(path)
    shape = tuple(int(extent) for extent in entry["shape"])
    return Tensor(str(entry["name"]), str(entry["datatype"]), shape, paths.index(path))


def _threshold(path: Path) -> float:
    """The `threshold` in `path`, 0 if there is no such file or no threshold in it."""
    if not path.is_file():
        return 0.0
    document = _read_json(path)
    value = document.get("threshold", 0.0) if isinstance(document, dict) else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise bad_input(f"{path}: threshold {value!r} is no number from 0 to 1")
    return float(value)


def _read_json(path: Path) -> object:
    data = _read(path, JSON_BYTES_MAX + 1)
    if len(data) > JSON_BYTES_MAX:
        raise bad_input(f"{path} has more than {JSON_BYTES_MAX} bytes")
    try:
        return json.loads(data)
    except ValueError as error:
        raise bad_input(f"{path}: {error}") from None


def _check_not_empty(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise bad_input(f"cannot read {path}: {error.strerror}") from None
    if size == 0:
        raise bad_input(f"{path} is empty; was it copied whole?")


def _read(path: Path, size: int, from_end: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            if from_end:
                file.seek(max(0, path.stat().st_size - size))
            return file.read(size)
    except OSError as error:
        raise bad_input(f"cannot read {path}: {error.strerror}") from None


def _check_xml(path: Path) -> None:
    if not _IR_ROOT.match(_read(path, HEAD_BYTES)):
        raise bad_input(f"{path} is no OpenVINO IR: its root element is not <net>")
    if not _read(path, HEAD_BYTES, from_end=True).rstrip().endswith(b"</net>"):
        raise bad_input(f"{path} is cut off: it does not end with </net>; copy it again")


def _check_onnx(path: Path) -> None:
    # An ONNX file is a protobuf message that begins with ir_version, field 1, a varint.
    if _read(path, 1) != b"\x08":
        raise bad_input(f"{path} is no ONNX model: it does not begin with an IR version")


def _check_tflite(path: Path) -> None:
    if _read(path, 8)[4:] != b"TFL3":
        raise bad_input(f"{path} is no TFLite model: it lacks the mark TFL3")


def _check_pdmodel(path: Path) -> None:
    # A protobuf message that begins with its blocks, field 1, length-delimited.
    if _read(path, 1) != b"\x0a":
        raise bad_input(f"{path} is no Paddle model: it does not begin with a block")


CHECKS: dict[str, Callable[[Path], None]] = {
    "xml": _check_xml,
    "onnx": _check_onnx,
    "tflite": _check_tflite,
    "pdmodel": _check_pdmodel,
}


def names(files: Sequence[SourceFile]) -> str:
    return ", ".join(one.path.name for one in files)
