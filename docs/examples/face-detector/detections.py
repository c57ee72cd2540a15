"""Turn frames into the model's input and its scores into faces; numpy and OpenCV only."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 320
"""Width and height in pixels of the model's input."""

THRESHOLD = 0.9
"""Windows that score less are no faces. Fixed beforehand, not fitted to the check picture."""

OVERLAP = 0.3
"""Of two boxes whose IoU is above this, only the better one is kept."""

Floats = NDArray[np.float32]


def letterbox(frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Fit a grey or BGR frame into the model's input, uint8 [1, 320, 320, 1].

    The longer side becomes 320 pixels; the rest, right or below, is black. Also gives the scale:
    a length in the frame's pixels is one in the input's pixels divided by it.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
    height, width = grey.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    image = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    image[0, : size[1], : size[0], 0] = small
    return image, scale


def nms(
    boxes: NDArray[Any], scores: NDArray[Any], threshold: float = THRESHOLD,
    overlap: float = OVERLAP,
) -> Floats:  # fmt: skip
    """Keep the best of each heap of overlapping windows.

    `boxes` [1, N, 4] as (x, y, w, h) and `scores` [1, N] are the model's outputs. Gives
    (x, y, w, h, score) rows, float32 [F, 5], the best first, in input pixels.
    """
    rows = np.concatenate([boxes.reshape(-1, 4), scores.reshape(-1, 1)], axis=1)
    rows = rows[rows[:, 4] >= threshold]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept = []
    while len(rows):
        kept.append(rows[0])
        rows = rows[iou(rows[0], rows) <= overlap]
    return np.array(kept, np.float32).reshape(-1, 5)


def iou(box: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Give the intersection over union of one (x, y, w, h, ...) with each of [M, 4 or more]."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:4], others[:, :2] + others[:, 2:4])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = others[:, 2] * others[:, 3]
    return np.asarray(both / (box[2] * box[3] + areas - both), np.float32)
