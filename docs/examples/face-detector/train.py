"""Train the face detector and export it as OpenVINO IR: `python train.py --seed 1 --out DIR`.

Needs what requirements-train.txt names; takes a few minutes of one core. The check picture
`astronaut` is neither trained on nor mined (see README.md); only `--photograph` copies it out.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pictures
import torch
from detections import OVERLAP, SUPPORT, THRESHOLD
from network import (
    BOX_LEFT,
    BOX_WIDTH,
    LEVELS,
    LOOKS,
    SIDE,
    STRIDE,
    WINDOW,
    Detector,
    WindowNet,
    normalise,
    pyramid,
    windows,
    windows_across,
)
from numpy.typing import NDArray
from pictures import Grey, Rng
from skimage import data
from torch import Tensor
from torch.nn import functional

BATCH = 256
ROUNDS = 10
"""Rounds of training; each but the last is followed by mining for what it still gets wrong."""
FIRST_STEPS, NEXT_STEPS = 1200, 800
"""Optimiser steps in the first round and in each of the others."""
PATCHES = 10_000
"""Face patches, and as many others, made anew for each round."""
SCENES = 360
"""Scenes searched for mistakes after each round."""
MINED_ABOVE = 0.2
"""A window that shows no face yet scores more than this is a mistake worth training on."""
MINED_BELOW = 0.9
"""A window that shows a face yet scores less than this is one too."""
MINED_PER_SCENE = 40
SAME, OTHER = 0.7, 0.42
"""A window is a face if its IoU with one is above SAME, none if below OTHER, else left out."""
MISSED_WEIGHT = torch.tensor(4.0)
"""How much worse it is when a glance misses a face than when it takes another thing for one."""


@dataclass
class Pool:
    """The patches to learn from; `*_mined` grow from round to round."""

    faces: list[Grey]
    others: list[Grey]
    scenery: list[Grey]
    mined_faces: list[Grey] = field(default_factory=list)
    mined_others: list[Grey] = field(default_factory=list)

    def scene(self, rng: Rng) -> Grey:
        """Give a picture without faces: drawn, cut from a photograph, or two of these mixed."""
        if rng.random() < 0.25:
            return pictures.mixed(self._bent(rng), self._bent(rng), rng)
        return self._bent(rng)

    def _bent(self, rng: Rng) -> Grey:
        """Give a scene drawn (a third), or cut from a photograph and often bent."""
        if rng.random() < 0.35:
            return pictures.drawn(rng)
        return pictures.random_view(pick(self.scenery, rng), rng, bent=0.6)

    def plain(self, rng: Rng) -> Grey:
        """Give a scene as it may be met: half of them drawn, half cut from a photograph."""
        if rng.random() < 0.5:
            return pictures.drawn(rng)
        return pictures.random_view(pick(self.scenery, rng), rng)


def whole_pool() -> Pool:
    """Give everything there is to train on."""
    return Pool(*pictures.lfw(), scenery=pictures.bundled())


def pick(items: list[Grey], rng: Rng) -> Grey:
    """Give one item at random."""
    return items[int(rng.integers(len(items)))]


def scene_patches(pool: Pool, count: int, rng: Rng) -> list[Grey]:
    """Cut `count` windows at random out of scenes, at the sizes that the pyramid has."""
    found: list[Grey] = []
    while len(found) < count:
        levels = pyramid(normalise(as_batch(pool.scene(rng))))
        for level in levels:
            grid = windows_across(level.shape[-1])
            for _ in range(4):
                row, column = rng.integers(0, grid, 2)
                found.append(window_at(level, int(row), int(column)))
    return found[:count]


def as_batch(picture: Grey) -> Tensor:
    """Turn a grey picture [H, W] into the model's input, uint8 [1, H, W, 1]."""
    return torch.from_numpy(picture.copy())[None, :, :, None]


def window_at(level: Tensor, row: int, column: int) -> Grey:
    """Copy one window of a pyramid level [1, 1, S, S] out as a grey patch."""
    top, left = row * STRIDE, column * STRIDE
    patch = level[0, 0, top : top + WINDOW, left : left + WINDOW]
    return ((patch + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def round_patches(pool: Pool, rng: Rng) -> tuple[Tensor, Tensor]:
    """Make one round's patches: faces and others, each uint8 [M, 25, 25]."""
    plain = scene_patches(pool, PATCHES // 2, rng)
    backdrops = plain + pool.others
    yes = [pictures.positive(pick(pool.faces, rng), pick(backdrops, rng), rng)
           for _ in range(PATCHES)]  # fmt: skip
    no = [pictures.negative(pick(pool.faces, rng), pick(pool.others, rng), rng)
          for _ in range(PATCHES // 2)]  # fmt: skip
    return _stack(yes), _stack(no + plain)


def _stack(patches: list[Grey]) -> Tensor:
    return torch.from_numpy(np.stack(patches))


def batch_of(pools: list[tuple[Tensor | None, int]]) -> Tensor:
    """Draw the given count from each pool at random; give float32 [B, 1, 25, 25]."""
    drawn = [pool[torch.randint(len(pool), (count,))] for pool, count in pools
             if pool is not None]  # fmt: skip
    return normalise(torch.cat(drawn)[..., None])


def train_round(
    net: WindowNet, optimiser: torch.optim.Optimizer, pool: Pool, steps: int, rates: list[float],
    rng: Rng,
) -> None:  # fmt: skip
    """Take optimiser steps; half of each class comes from what mining found, once it has."""
    yes, no = round_patches(pool, rng)
    hard_yes = _stack(pool.mined_faces) if pool.mined_faces else None
    hard_no = _stack(pool.mined_others) if pool.mined_others else None
    net.train()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rates[step]
        faces = batch_of([(yes, BATCH * 5 // 16), (hard_yes, BATCH // 16)])
        others = batch_of([(no, BATCH * 5 // 16), (hard_no, BATCH * 5 // 16)])
        glanced, looked = net(torch.cat([faces, others]))
        wanted = torch.cat([torch.full((len(faces),), 0.99), torch.full((len(others),), 0.01)])
        loss = functional.binary_cross_entropy_with_logits(looked, wanted)
        loss = loss + functional.binary_cross_entropy_with_logits(
            glanced, wanted, pos_weight=MISSED_WEIGHT
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def overlaps(squares: Tensor, faces: NDArray[np.float32]) -> Tensor:
    """Give each window's best IoU with any face, float32 [N]; both as (x, y, side)."""
    best = torch.zeros(len(squares))
    for x, y, side in faces.tolist():
        wide = torch.minimum(squares[:, 0] + squares[:, 2], torch.tensor(x + side))
        high = torch.minimum(squares[:, 1] + squares[:, 2], torch.tensor(y + side))
        wide = (wide - squares[:, 0].clamp(min=x)).clamp(min=0)
        high = (high - squares[:, 1].clamp(min=y)).clamp(min=0)
        both = wide * high
        best = torch.maximum(best, both / (squares[:, 2] ** 2 + side**2 - both))
    return best


def window_index() -> list[tuple[int, int, int]]:
    """Give (level, row, column) of every window, in the scores' order."""
    return [(level, row, column) for level, side in enumerate(LEVELS)
            for row in range(windows_across(side))
            for column in range(windows_across(side))]  # fmt: skip


@torch.no_grad()
def mine(net: WindowNet, pool: Pool, rng: Rng) -> tuple[int, int]:
    """Search fresh scenes, keep the mistakes in the pool, and count them: (faces, others)."""
    detector = Detector(net).eval()
    squares, index = windows(), window_index()
    counts = [0, 0]
    for number in range(SCENES):
        scene = pool.scene(rng)
        truth = np.zeros((0, 3), np.float32)
        if number % 3 == 0:
            truth = pictures.paste_faces(scene, pool.faces, rng)
        levels = pyramid(normalise(as_batch(scene)))
        scores = detector.judge(levels)[0]
        overlap = overlaps(squares, truth)
        wrong = _worst(scores * (overlap < OTHER), MINED_ABOVE)
        missed = _worst((1 - scores) * (overlap > SAME), 1 - MINED_BELOW)
        pool.mined_others += [window_at(levels[i], r, c) for i, r, c in (index[w] for w in wrong)]
        pool.mined_faces += [window_at(levels[i], r, c) for i, r, c in (index[m] for m in missed)]
        counts[0] += len(missed)
        counts[1] += len(wrong)
    return counts[0], counts[1]


def _worst(badness: Tensor, limit: float) -> list[int]:
    """Give the indices of the worst windows of a scene that are worse than the limit."""
    values, order = badness.topk(MINED_PER_SCENE)
    return [int(i) for i in order[values > limit]]


def train(pool: Pool, seed: int) -> WindowNet:
    """Train the window network from nothing."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = WindowNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    total = FIRST_STEPS + (ROUNDS - 1) * NEXT_STEPS
    rates = [3e-3 * 0.5 * (1 + float(np.cos(np.pi * step / total))) + 1e-5
             for step in range(total)]  # fmt: skip
    done, start = 0, time.monotonic()
    for number in range(ROUNDS):
        steps = NEXT_STEPS if number else FIRST_STEPS
        train_round(net, optimiser, pool, steps, rates[done : done + steps], rng)
        done += steps
        if number < ROUNDS - 1:
            faces, others = mine(net, pool, rng)
            seconds = time.monotonic() - start
            print(f"round {number}: {seconds:.0f} s, missed {faces}, false {others}", flush=True)
    return net.eval()


def manifest_of(net: WindowNet, seed: int) -> dict[str, Any]:
    """Give the model's contract and how it was made; goes into its .json and its metadata."""
    count = len(windows())
    return {
        "name": "face-detector",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, SIDE, SIDE, 1]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [1, count]},
            {"name": "boxes", "datatype": "FP32", "shape": [1, count, 4]},
        ],
        "threshold": THRESHOLD,
        "overlap": OVERLAP,
        "support": SUPPORT,
        "smallest_face": WINDOW,
        "box_in_window": {"x": BOX_LEFT, "y": 0.0, "w": BOX_WIDTH, "h": 1.0},
        "levels": list(LEVELS),
        "looks": LOOKS,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "seed": seed,
    }


def export(net: WindowNet, manifest: dict[str, Any], folder: Path) -> None:
    """Write face-detector.xml, .bin (weights in half precision) and .json (the manifest)."""
    example = torch.zeros(1, SIDE, SIDE, 1, dtype=torch.uint8)
    shape = ov.PartialShape([1, SIDE, SIDE, 1])
    model = ov.convert_model(
        Detector(net).eval(), example_input=example, input=[(shape, ov.Type.u8)]
    )
    model.inputs[0].get_tensor().set_names({"image"})
    for output, name in zip(model.outputs, ("scores", "boxes"), strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(json.dumps(manifest), "face_detector")
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / "face-detector.xml", compress_to_fp16=True)
    (folder / "face-detector.json").write_text(json.dumps(manifest, indent=1) + "\n")


def write_photograph(file: Path) -> None:
    """Copy the check picture out as JPEG, for check.py and make_video.py."""
    photograph = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(file), photograph, [cv2.IMWRITE_JPEG_QUALITY, 92])


def main() -> None:
    """Train with one seed and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--photograph", type=Path, help="also write the check picture here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    net = train(whole_pool(), options.seed)
    export(net, manifest_of(net, options.seed), options.out)
    if options.photograph:
        write_photograph(options.photograph)
    print(f"trained and exported in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
