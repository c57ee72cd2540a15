"""Write the golden inputs and outputs of a model: `python make_golden.py [--model DIR]`.

Golden 0 is a drawn scene with a cartoon face; golden 1 is the photograph. Tensors are raw,
little-endian and row-major; golden.json tells their names, types, shapes and files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from check import HERE, load
from detections import SIDE, letterbox
from numpy.typing import NDArray

TOLERANCE = {"absolute": 0.1, "relative": 0.001}
"""A value v may differ from the golden g by at most absolute + relative * |g|.

Wide enough for a processor that computes in bfloat16, far too narrow for wrong weights.
"""

DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
"""The Open Inference Protocol's names of numpy's types."""

Grey = NDArray[np.uint8]


def cartoon() -> Grey:
    """Draw a face of ellipses before a sloping grey, with stripes and a disc beside it."""
    slope = np.linspace(70, 150, SIDE)[:, None] + np.linspace(0, 40, SIDE)[None, :]
    scene = slope.astype(np.uint8)
    for x in range(10, 90, 20):
        cv2.line(scene, (x, 300), (x + 40, 200), 230, 8, cv2.LINE_AA)
    cv2.circle(scene, (60, 80), 34, 30, -1, cv2.LINE_AA)
    _ellipse(scene, 200, 150, 62, 78, 60)
    _ellipse(scene, 200, 160, 52, 68, 190)
    for eye in (178, 222):
        _ellipse(scene, eye, 132, 12, 3, 90)
        _ellipse(scene, eye, 142, 8, 5, 60)
    _ellipse(scene, 200, 170, 8, 6, 150)
    _ellipse(scene, 200, 192, 20, 6, 100)
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), 2.0), np.uint8)


def _ellipse(scene: Grey, x: int, y: int, wide: int, high: int, tone: int) -> None:
    """Fill an upright ellipse with one tone."""
    cv2.ellipse(scene, (x, y), (wide, high), 0, 0, 360, tone, -1, cv2.LINE_AA)


def write(folder: Path, name: str, file: str, tensor: NDArray[Any]) -> dict[str, Any]:
    """Write one tensor and give its entry in golden.json."""
    little = tensor.astype(tensor.dtype.newbyteorder("<"))
    (folder / file).write_bytes(little.tobytes())
    datatype = DATATYPES[str(tensor.dtype)]
    return {"name": name, "datatype": datatype, "shape": list(tensor.shape), "file": file}


def golden(model: ov.CompiledModel, number: int, picture: Grey, folder: Path) -> dict[str, Any]:
    """Run the model on one picture; write and give the golden case. All cases share the boxes."""
    image, _ = letterbox(picture)
    results = model({"image": image})
    return {
        "inputs": [write(folder, "image", f"golden-{number}.image.bin", image)],
        "outputs": [
            write(folder, "scores", f"golden-{number}.scores.bin", results["scores"]),
            write(folder, "boxes", "golden.boxes.bin", results["boxes"]),
        ],
        "tolerance": TOLERANCE,
    }


def main() -> None:
    """Write the golden folder of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE, help="folder of the IR")
    parser.add_argument("--out", type=Path, default=HERE / "golden")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    photograph = np.asarray(cv2.imread(str(HERE / "photograph.jpg")), np.uint8)
    model = load(options.model)
    cases = [golden(model, number, picture, options.out)
             for number, picture in enumerate((cartoon(), photograph))]  # fmt: skip
    (options.out / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
