"""Turn frames into the model's input and its scores into faces; numpy and OpenCV only."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 320
"""Width and height in pixels of the model's input."""

THRESHOLD = 0.93
"""Windows that score less are no faces. Chosen by choose.py, without the check picture."""

OVERLAP = 0.4
"""Windows whose IoU is above this are one heap; so much of a smaller box covered drops it."""

SUPPORT = 3
"""A face is seen in at least this many windows; what fewer see is chance. Chosen as above."""

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
    overlap: float = OVERLAP, support: int = SUPPORT,
) -> Floats:  # fmt: skip
    """Make one face of each heap of overlapping windows.

    `boxes` [1, N, 4] as (x, y, w, h) and `scores` [1, N] are the model's outputs. Gives
    (x, y, w, h, score) rows, float32 [F, 5], the best first, in input pixels. A heap is the best
    window and those whose IoU with it is above `overlap`. A face's box is its heap's mean, which
    is steadier than the best one's; its score is the best one. Heaps of fewer than `support`
    windows are no faces. What a face covers, or is covered by, goes with it: mouths, eyes.
    """
    rows = np.concatenate([boxes.reshape(-1, 4), scores.reshape(-1, 1)], axis=1)
    rows = rows[rows[:, 4] >= threshold]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    faces = []
    while len(rows):
        heap = rows[iou(rows[0], rows) > overlap]
        face = np.append(heap[:, :4].mean(axis=0), rows[0, 4])
        if len(heap) >= support:
            faces.append(face)
        rows = rows[1:][np.maximum(covered(rows[0], rows[1:]), covered(face, rows[1:])) <= overlap]
    return np.array(faces, np.float32).reshape(-1, 5)


def _shared(box: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Give the area that one (x, y, w, h, ...) shares with each of [M, 4 or more]."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:4], others[:, :2] + others[:, 2:4])
    return np.asarray(np.prod(np.clip(high - low, 0, None), axis=1))


def covered(box: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Give the share of the smaller box that one box and each of the others have in common."""
    smaller = np.minimum(box[2] * box[3], others[:, 2] * others[:, 3])
    return np.asarray(_shared(box, others) / smaller, np.float32)


def iou(box: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Give the intersection over union of one box and each of the others."""
    both = _shared(box, others)
    return np.asarray(both / (box[2] * box[3] + others[:, 2] * others[:, 3] - both), np.float32)
