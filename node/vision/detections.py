"""From a detector's scores and boxes to detections. Pure numpy.

Windows that overlap show the same thing. The best window left gathers those that share more than
OVERLAP of the smaller one's area with it; the detection's box is their mean, which is steadier
than the best one's, and its score the best one's. What overlaps the detection is then done with.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.vision.limits import CANDIDATES_MAX

OVERLAP = 0.4
"""Share of the smaller area from which two boxes show the same thing."""

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
        best = rows[0]
        alike = rows[_overlap(best, rows) > OVERLAP]
        one = np.append(alike[:, :4].mean(axis=0), best[4])
        found.append(one)
        rest = rows[1:]
        rows = rest[(_overlap(best, rest) <= OVERLAP) & (_overlap(one, rest) <= OVERLAP)]
    return np.array(found, np.float32).reshape(-1, 5)


def _overlap(box: Numbers, others: Numbers) -> Floats:
    """The area that one box shares with each other one, over the smaller of the two areas."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:4], others[:, :2] + others[:, 2:4])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    smaller = np.minimum(np.prod(box[2:4]), np.prod(others[:, 2:4], axis=1))
    return np.asarray(shared / smaller, np.float32)
