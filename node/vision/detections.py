"""From a detector's scores and boxes to detections. Pure numpy.

A detector judges windows that overlap, so one thing is seen in several. The best window left
gathers its heap: those alike to it (intersection over union above OVERLAP). A heap of at least
SUPPORT windows is a detection: its box is the heap's mean, which is steadier than the best one's,
its score the best one's; what fewer windows see is chance. Then the heap's best and its mean box
rule out every window that shares more than OVERLAP of the smaller area with either: parts of the
thing, and surroundings of it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.vision.limits import CANDIDATES_MAX

OVERLAP = 0.4
"""From here on two boxes show the same thing."""

SUPPORT = 3
"""Windows that must agree. So a model has to give its windows as they are: one that merges them
itself gives one for each thing, and nothing of it would be told."""

Floats = NDArray[np.float32]
Numbers = NDArray[Any]


def detections(boxes: Numbers, scores: Numbers, threshold: float) -> Floats:
    """Merge windows into detections: rows (x, y, w, h, score), float32 [D, 5], the best first.

    `boxes` holds N times x, y, w, h, and `scores` N numbers, in any shape. Windows without a
    finite box of positive size, and more than CANDIDATES_MAX, are left out.
    """
    rows = np.concatenate([boxes.reshape(-1, 4), scores.reshape(-1, 1)], axis=1).astype(np.float32)
    rows = rows[rows[:, 4] >= threshold]
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 2:4] > 0).all(axis=1)]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")][:CANDIDATES_MAX]
    found = []
    while len(rows):
        best, rest = rows[0], rows[1:]
        heap = rows[_union_share(best, rows) > OVERLAP]
        one = np.append(heap[:, :4].mean(axis=0), best[4])
        if len(heap) >= SUPPORT:
            found.append(one)
        rows = rest[(_part_share(best, rest) <= OVERLAP) & (_part_share(one, rest) <= OVERLAP)]
    return np.array(found, np.float32).reshape(-1, 5)


def _shared(box: Numbers, others: Numbers) -> Numbers:
    """The area that one box has in common with each of the others."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:4], others[:, :2] + others[:, 2:4])
    return np.asarray(np.prod(np.clip(high - low, 0, None), axis=1))


def _union_share(box: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of one box and each of the others."""
    shared = _shared(box, others)
    return np.asarray(shared / (np.prod(box[2:4]) + np.prod(others[:, 2:4], axis=1) - shared))


def _part_share(box: Numbers, others: Numbers) -> Numbers:
    """The shared area over the smaller one, of one box and each of the others."""
    smaller = np.minimum(np.prod(box[2:4]), np.prod(others[:, 2:4], axis=1))
    return np.asarray(_shared(box, others) / smaller)
