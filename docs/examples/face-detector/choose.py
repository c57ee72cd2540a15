"""Show how threshold and support trade faces for mistakes: `python choose.py`.

Trains on four fifths of the faces and pictures, then looks for the other faces, pasted on the
other pictures and on fresh drawn scenes. The photograph `astronaut` has no part in this: it is
how the two numbers in detections.py were chosen without it. Needs what train.py needs.
"""

from __future__ import annotations

import argparse
from itertools import product
from typing import TypeVar

import numpy as np
import pictures
import torch
from check import Tally
from detections import nms
from network import BOX_LEFT, BOX_WIDTH, Detector
from numpy.typing import NDArray
from pictures import Rng
from train import Pool, as_batch, train, whole_pool

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.93, 0.95)
SUPPORTS = (1, 2, 3, 4)
SCENES = 1000

Item = TypeVar("Item")


def split(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """Give four fifths of the items, and every fifth."""
    return [item for i, item in enumerate(items) if i % 5], items[::5]


def pools() -> tuple[Pool, Pool]:
    """Give what to train on, and what to hold out."""
    whole = whole_pool()
    parts = [split(items) for items in (whole.faces, whole.others, whole.scenery)]
    return Pool(*(part[0] for part in parts)), Pool(*(part[1] for part in parts))


def face_boxes(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn pasted windows (x, y, side) into face boxes (x, y, w, h)."""
    x, y, side = squares.T
    return np.stack([x + BOX_LEFT * side, y, BOX_WIDTH * side, side], axis=1)


@torch.no_grad()
def survey(model: Detector, pool: Pool, rng: Rng) -> dict[tuple[float, int], Tally]:
    """Count what is found on scenes with one face each, for each threshold and support."""
    tallies = {pair: Tally() for pair in product(THRESHOLDS, SUPPORTS)}
    for _ in range(SCENES):
        scene = pool.plain(rng)
        truth = face_boxes(pictures.paste_faces(scene, pool.faces, rng, most=1))[0]
        scores, boxes = (tensor.numpy() for tensor in model(as_batch(scene)))
        for (threshold, support), tally in tallies.items():
            tally.add(nms(boxes, scores, threshold, support=support), truth)
    return tallies


def main() -> None:
    """Train with held-out parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known, unknown = pools()
    model = Detector(train(known, options.seed)).eval()
    rng = np.random.default_rng(options.seed + 1000)
    for (threshold, support), tally in survey(model, unknown, rng).items():
        print(f"threshold {threshold}, support {support}: {tally}")


if __name__ == "__main__":
    main()
