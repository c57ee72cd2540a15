"""Check that a model keeps its promise on the photograph and in the video; exit 1 if not.

`python check.py [--model DIR]` needs openvino, numpy and OpenCV. It prints what it measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from detections import Floats, iou, letterbox, nms
from numpy.typing import NDArray

HERE = Path(__file__).parent
FACE = np.array([178, 65, 91, 111], np.float32)
"""The face on the photograph as (x, y, w, h) in its pixels, marked by hand."""
RIGHT = 0.5
"""A box is the face if their IoU is at least this."""
SHARE = 0.95
"""Share of the video's frames in which the face must be found."""

Frame = NDArray[np.uint8]
Finder = Callable[[Frame], Floats]


@dataclass
class Tally:
    """What was seen over some frames: how often the face was found, and false boxes."""

    frames: int = 0
    found: int = 0
    false: int = 0
    worst: float = 1.0
    """The smallest IoU among the faces that were found."""

    def add(self, faces: Floats, truth: Floats) -> None:
        """Count one frame: its boxes [F, 5], and the one true box [4]."""
        overlaps = iou(truth, faces) if len(faces) else np.zeros(0, np.float32)
        right = overlaps[overlaps >= RIGHT]
        self.frames += 1
        self.found += bool(len(right))
        self.false += len(faces) - min(1, len(right))
        if len(right):
            self.worst = min(self.worst, float(right.max()))

    def __str__(self) -> str:
        worst = f", smallest IoU {self.worst:.2f}" if self.found else ""
        return f"{self.found} of {self.frames} found, {self.false} false{worst}"


def load(folder: Path, precision: str = "f32") -> ov.CompiledModel:
    """Compile the model for one core of this machine's processor."""
    options = {
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    return ov.Core().compile_model(folder / "face-detector.xml", "CPU", options)


def finder(model: ov.CompiledModel) -> Finder:
    """Give a function from a frame to its faces, rows (x, y, w, h, score) in frame pixels."""
    request = model.create_infer_request()

    def find(frame: Frame) -> Floats:
        image, scale = letterbox(frame)
        results = request.infer({"image": image})
        faces = nms(results["boxes"], results["scores"])
        faces[:, :4] /= scale
        return faces

    return find


def frames_of(video: Path) -> Iterator[Frame]:
    """Give the video's frames, uint8 BGR."""
    capture = cv2.VideoCapture(str(video))
    while True:
        good, frame = capture.read()
        if not good:
            return
        yield np.asarray(frame, np.uint8)


def check_photograph(find: Finder) -> Tally:
    """Look for the face on the photograph."""
    tally = Tally()
    photograph = cv2.imread(str(HERE / "photograph.jpg"))
    tally.add(find(np.asarray(photograph, np.uint8)), FACE)
    return tally


def check_video(find: Finder) -> Tally:
    """Look for the face on every frame of the video."""
    tally = Tally()
    truth = json.loads((HERE / "entrance.truth.json").read_text())["faces"]
    for frame, face in zip(frames_of(HERE / "entrance.mp4"), truth, strict=True):
        tally.add(find(frame), np.array(face, np.float32))
    return tally


def milliseconds(model: ov.CompiledModel, runs: int = 100) -> float:
    """Measure one inference on one core: the median of so many."""
    request = model.create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, 320, 320, 1), np.uint8)
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        request.infer({"image": image})
        spent.append(time.perf_counter() - start)
    return float(np.median(spent)) * 1000


def main() -> int:
    """Check and time one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE, help="folder of the IR")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    start = time.perf_counter()
    model = load(options.model, options.precision)
    print(f"loaded in {time.perf_counter() - start:.2f} s")
    find = finder(model)
    photograph, video = check_photograph(find), check_video(find)
    print(f"photograph: {photograph}")
    print(f"video: {video}")
    print(f"one inference on one core: {milliseconds(model):.1f} ms")
    held = photograph.found == 1 and photograph.false == 0
    held = held and video.found >= SHARE * video.frames and video.false == 0
    print("held" if held else "NOT held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
