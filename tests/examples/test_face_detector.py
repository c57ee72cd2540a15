"""The shipped face detector keeps its promise, and its golden tensors tell good from bad."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "face-detector"
GOLDEN = EXAMPLE / "golden"
TYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}
SCRIPTS = ("check", "detections", "make_bad", "make_golden", "make_video")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """Import the example's scripts, and forget them afterwards: their names are common ones."""
    sys.path.insert(0, str(EXAMPLE))
    before = {name: sys.modules.pop(name, None) for name in SCRIPTS}
    try:
        yield {name: importlib.import_module(name) for name in SCRIPTS}
    finally:
        sys.path.remove(str(EXAMPLE))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def tensor(entry: dict[str, Any]) -> NDArray[Any]:
    """Read one tensor that golden.json names."""
    raw = np.frombuffer((GOLDEN / entry["file"]).read_bytes(), TYPES[entry["datatype"]])
    return raw.reshape(entry["shape"])


def golden_holds(model: Any, case: dict[str, Any]) -> bool:
    """Tell whether every output of the model is within the case's tolerance."""
    results = model({entry["name"]: tensor(entry) for entry in case["inputs"]})
    allowed = case["tolerance"]
    return all(
        np.allclose(results[entry["name"]], tensor(entry), allowed["relative"],
                    allowed["absolute"])
        for entry in case["outputs"]
    )  # fmt: skip


def cases() -> list[dict[str, Any]]:
    """Give the golden cases."""
    found: list[dict[str, Any]] = json.loads((GOLDEN / "golden.json").read_text())
    return found


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_finds_the_face_on_the_photograph_and_nothing_else(
    scripts: dict[str, ModuleType], precision: str
) -> None:
    check = scripts["check"]
    tally = check.check_photograph(check.finder(check.load(EXAMPLE, precision)))
    assert (tally.found, tally.false) == (1, 0)


def test_finds_the_face_in_the_video_and_nothing_else(scripts: dict[str, ModuleType]) -> None:
    check = scripts["check"]
    tally = check.check_video(check.finder(check.load(EXAMPLE)))
    assert tally.frames == 200
    assert tally.found >= 0.95 * tally.frames
    assert tally.false == 0


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_golden_outputs_are_reproduced(scripts: dict[str, ModuleType], precision: str) -> None:
    model = scripts["check"].load(EXAMPLE, precision)
    assert len(cases()) == 2
    assert all(golden_holds(model, case) for case in cases())


def test_golden_outputs_refuse_broken_weights(
    scripts: dict[str, ModuleType], tmp_path: Path
) -> None:
    folder = scripts["make_bad"].make("broken-weights", EXAMPLE, tmp_path)
    model = scripts["check"].load(folder)
    assert not any(golden_holds(model, case) for case in cases())


def test_the_manifest_says_what_the_model_and_the_code_say(
    scripts: dict[str, ModuleType],
) -> None:
    manifest = json.loads((EXAMPLE / "face-detector.json").read_text())
    detections = scripts["detections"]
    assert manifest["threshold"] == detections.THRESHOLD
    assert manifest["overlap"] == detections.OVERLAP
    assert manifest["support"] == detections.SUPPORT
    model = scripts["check"].load(EXAMPLE)
    shapes = {port.any_name: list(port.shape) for port in [*model.inputs, *model.outputs]}
    entries = [*manifest["inputs"], *manifest["outputs"]]
    assert shapes == {entry["name"]: entry["shape"] for entry in entries}


def test_no_more_windows_are_looked_at_than_the_manifest_says_and_the_last_score_nearly_nothing(
    scripts: dict[str, ModuleType],
) -> None:
    looks = json.loads((EXAMPLE / "face-detector.json").read_text())["looks"]
    model = scripts["check"].load(EXAMPLE)
    for case in cases():
        scores = np.sort(model({one["name"]: tensor(one) for one in case["inputs"]})["scores"][0])
        assert (scores[:-looks] == 0).all()
        assert 0 < scores[-looks] < 0.001


def test_the_video_keeps_the_face_within_every_frame(scripts: dict[str, ModuleType]) -> None:
    video = scripts["make_video"]
    truth = json.loads((EXAMPLE / "entrance.truth.json").read_text())
    faces = np.array(truth["faces"])
    assert faces.shape == (video.FRAMES, 4)
    assert (faces[:, :2] >= 0).all()
    assert (faces[:, :2] + faces[:, 2:] <= (video.WIDTH, video.HEIGHT)).all()
    assert truth["faces"][7] == video.face_on(video.view(7, 512))


def test_heaps_become_one_face_and_neighbours_stay_two(scripts: dict[str, ModuleType]) -> None:
    nms = scripts["detections"].nms
    boxes = np.array([[[10, 10, 20, 25], [12, 10, 20, 25], [100, 10, 20, 25], [0, 0, 9, 9]]])
    scores = np.array([[0.95, 0.99, 0.97, 0.5]])
    both = np.array([[11, 10, 20, 25, 0.99], [100, 10, 20, 25, 0.97]])
    assert nms(boxes, scores, 0.9, 0.4, support=1) == pytest.approx(both)
    assert nms(boxes, scores, 0.9, 0.4, support=2) == pytest.approx(both[:1])
    assert nms(boxes, scores * 0.5, 0.9, 0.4, support=1).shape == (0, 5)


def test_letterbox_keeps_the_shape_and_tells_the_scale(scripts: dict[str, ModuleType]) -> None:
    image, scale = scripts["detections"].letterbox(np.full((360, 480, 3), 200, np.uint8))
    assert image.shape == (1, 320, 320, 1)
    assert image.dtype == np.uint8
    assert scale == pytest.approx(320 / 480)
    assert (image[0, :240] == 200).all()
    assert (image[0, 240:] == 0).all()
