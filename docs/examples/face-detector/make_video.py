"""Make the demo's video: the photograph panned and zoomed, and where the face is on each frame.

`python make_video.py` writes entrance.mp4 and entrance.truth.json beside itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FRAMES, RATE = 200, 10
"""Length of the video in frames, and frames per second."""
WIDTH, HEIGHT = 480, 360
FACE = (178.0, 65.0, 91.0, 111.0)
"""The face on the photograph as (x, y, w, h) in its pixels, marked by hand."""
NARROWEST, WIDEST = 290.0, 510.0
"""Width of the view in the photograph's pixels, when nearest and when farthest."""
MARGIN = 6.0
"""The face stays at least this far inside of the view, in the photograph's pixels."""

Box = tuple[float, float, float, float]


def view(number: int, side: int) -> Box:
    """Give what frame `number` shows of a photograph of side x side pixels, as (x, y, w, h).

    The view's width and place swing with different periods, all whole in the video's length, so
    that it can be played round and round without a jump.
    """
    turn = 2 * np.pi * number / FRAMES
    width = (NARROWEST + WIDEST) / 2 - (WIDEST - NARROWEST) / 2 * np.cos(3 * turn)
    height = width * HEIGHT / WIDTH
    left = _between(FACE[0], FACE[2], width, side, 0.5 + 0.5 * np.sin(2 * turn))
    top = _between(FACE[1], FACE[3], height, side, 0.5 + 0.5 * np.sin(5 * turn))
    return left, top, float(width), float(height)


def _between(face: float, length: float, span: float, side: int, share: float) -> float:
    """Give where a view of this span begins: `share` of the way that keeps the face in it."""
    first = max(0.0, face + length + MARGIN - span)
    last = min(side - span, face - MARGIN)
    return float(first + (last - first) * share)


def frame_of(photograph: NDArray[np.uint8], shown: Box) -> NDArray[np.uint8]:
    """Scale the shown part of the photograph to a frame, uint8 BGR [360, 480, 3]."""
    zoom = WIDTH / shown[2]
    matrix = np.array([[zoom, 0, -shown[0] * zoom], [0, zoom, -shown[1] * zoom]])
    frame = cv2.warpAffine(photograph, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    return np.asarray(frame, np.uint8)


def face_on(shown: Box) -> list[float]:
    """Give the face's box on the frame that shows this part, as [x, y, w, h] in its pixels."""
    zoom = WIDTH / shown[2]
    x, y, w, h = FACE
    return [round(v * zoom, 2) for v in (x - shown[0], y - shown[1], w, h)]


def make(photograph: NDArray[np.uint8], video: Path) -> list[list[float]]:
    """Write the video; give the face's box on every frame."""
    code: Any = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(video), code, RATE, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise SystemExit(f"this OpenCV cannot write {video}")
    shown = [view(number, photograph.shape[0]) for number in range(FRAMES)]
    for part in shown:
        writer.write(frame_of(photograph, part))
    writer.release()
    return [face_on(part) for part in shown]


def main() -> None:
    """Write the video and the truth about it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photograph", type=Path, default=HERE / "photograph.jpg")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the two files")
    options = parser.parse_args()
    photograph = cv2.imread(str(options.photograph))
    if photograph is None:
        raise SystemExit(f"cannot read {options.photograph}")
    faces = make(np.asarray(photograph, np.uint8), options.out / "entrance.mp4")
    truth = {"width": WIDTH, "height": HEIGHT, "rate": RATE, "faces": faces}
    (options.out / "entrance.truth.json").write_text(json.dumps(truth) + "\n")


if __name__ == "__main__":
    main()
