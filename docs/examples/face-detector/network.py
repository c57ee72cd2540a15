"""The face detector as a torch module: a 25 x 25 window network run over a picture pyramid.

Only `train.py` needs this file (and torch). At run time the exported OpenVINO IR does it all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

SIDE = 320
"""Width and height in pixels of the square picture that the model takes."""

WINDOW = 25
"""Width and height in pixels of the square that one score judges, on its pyramid level."""

STRIDE = 4
"""Distance in pixels between neighbouring windows, on their pyramid level."""

LEVELS = (320, 256, 200, 160, 128, 100, 80, 64, 50, 40, 32, 25)
"""Side in pixels of each pyramid level: an octave is the whole, four fifths and five eighths."""

PER_OCTAVE = 3

LOOKS = 192
"""How many windows are looked at closely: those that a glance finds likeliest, of all levels."""

CELLS = 3
"""A window covers CELLS x CELLS places of its level's features."""

BOX_LEFT, BOX_WIDTH = 0.1, 0.8
"""The reported box within its window, as shares of the window's side: full height, and this wide.

Taken from the mean of the 100 training faces: forehead to chin fills the crop's height, and the
cheeks take about four fifths of its width.
"""


class WindowNet(nn.Module):
    """Two logits per 25 x 25 window, a glance's and a look's, from the same features.

    Features and glance are convolutions without padding, for every window of a level (stride 4);
    the look has most of the parameters, and is meant for the few windows that a glance leaves.
    """

    def __init__(
        self, channels: tuple[int, int, int] = (16, 16, 32), glancing: int = 16, looking: int = 320
    ) -> None:
        super().__init__()
        first, second, third = channels
        self.features = nn.Sequential(
            *_block(1, first, kernel=5, stride=2),
            *_block(first, second, kernel=3, stride=2),
            *_block(second, third, kernel=3, stride=1),
        )
        self.glance = nn.Sequential(
            *_block(third, glancing, kernel=CELLS, stride=1),
            nn.Conv2d(glancing, 1, kernel_size=1),
        )
        self.look = nn.Sequential(
            nn.Linear(CELLS * CELLS * third, looking, bias=False),
            nn.BatchNorm1d(looking),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(looking, 1),
        )

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Map grey patches [B, 1, 25, 25] in -1..1 to their two logits, [B] each."""
        features = self.features(patches)
        return self.glance(features).flatten(), self.look(places(features)).flatten()


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """Give a convolution, its normalisation and its activation."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def places(features: Tensor) -> Tensor:
    """Lay features [B, C, H, W] out place by place, row by row: [B, H * W * C]."""
    return features.permute(0, 2, 3, 1).flatten(1)


class Detector(nn.Module):
    """What is exported: the pyramid, the window network on its levels, and the windows' boxes."""

    boxes: Tensor
    corners: Tensor

    def __init__(self, net: WindowNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("boxes", window_boxes())
        self.register_buffer("corners", window_corners())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 grey [1, 320, 320, 1] to scores [1, N] in 0..1 and boxes [1, N, 4]."""
        return self.judge(pyramid(normalise(image))), self.boxes

    def judge(self, levels: list[Tensor]) -> Tensor:
        """Map a pyramid's levels [1, 1, S, S] to scores [1, N]: glance at all, look at a few.

        A window that is looked at scores the product of both; the others score nothing.
        """
        features = [self.net.features(level) for level in levels]
        glanced = torch.cat([self.net.glance(one).flatten(1) for one in features], 1)
        likely, chosen = glanced.topk(LOOKS, 1)
        table = torch.cat([places(one).reshape(-1, one.shape[1]) for one in features])
        looked = self.net.look(table[self.places_of(chosen[0])].reshape(LOOKS, -1))
        scores = torch.sigmoid(likely) * torch.sigmoid(looked).reshape(1, -1)
        return torch.zeros_like(glanced).scatter(1, chosen, scores)

    def places_of(self, chosen: Tensor) -> Tensor:
        """Give where in the table of all levels' places the windows' features are, [K * 9]."""
        corner, across = self.corners[chosen].long().unbind(1)
        steps = torch.arange(CELLS)
        rows = corner[:, None] + across[:, None] * steps
        return (rows[:, :, None] + steps).flatten()


def normalise(image: Tensor) -> Tensor:
    """Map uint8 [B, H, W, 1] to float32 [B, 1, H, W] in -1..1."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def _shrinking(before: int, after: int) -> Tensor:
    """Give the filters that make `after` pixels of `before` along both axes, bilinearly.

    As many filters as pixels made of one block, float32 [after * after, 1, before, before].
    """
    middles = (torch.arange(after) + 0.5) * (before / after) - 0.5
    apart = (middles[:, None] - torch.arange(before)[None, :]).abs()
    weights = (1 - apart).clamp(min=0)
    return torch.einsum("ay,bx->abyx", weights, weights).reshape(-1, 1, before, before)


FOUR_FIFTHS, FIVE_EIGHTHS = (5, 4), (8, 5)
"""Pixels along the sides of a block, before and after it is shrunk."""

_FILTERS = {step: _shrinking(*step) for step in (FOUR_FIFTHS, FIVE_EIGHTHS)}


def pyramid(picture: Tensor) -> list[Tensor]:
    """Give the picture [B, 1, 320, 320] at every size of LEVELS, the largest first.

    Each octave begins with a 2 x 2 mean of the one before, so that no bilinear step shrinks by
    more than 1.6 and small levels do not alias. The bilinear steps work on whole blocks of 5 x 5
    or 8 x 8 pixels, as convolutions: several times cheaper than a resize to any other size.
    """
    levels = []
    for start in range(0, len(LEVELS), PER_OCTAVE):
        if start:
            picture = functional.avg_pool2d(picture, 2)
        levels += [picture, _shrink(picture, FOUR_FIFTHS), _shrink(picture, FIVE_EIGHTHS)]
    return levels


def _shrink(picture: Tensor, step: tuple[int, int]) -> Tensor:
    """Make each block of step[0] x step[0] pixels one of step[1] x step[1]."""
    before, after = step
    made = functional.conv2d(picture, _FILTERS[step], stride=before)
    return functional.pixel_shuffle(made, after)


def windows_across(side: int) -> int:
    """Give how many windows fit side by side on a level of this many pixels."""
    return (side - WINDOW) // STRIDE + 1


def windows() -> Tensor:
    """Give every window as (x, y, side) in input pixels, float32 [N, 3], in the scores' order."""
    found = []
    for side in LEVELS:
        scale = SIDE / side
        steps = torch.arange(windows_across(side), dtype=torch.float32) * STRIDE * scale
        top, left = torch.meshgrid(steps, steps, indexing="ij")
        size = torch.full_like(top, WINDOW * scale)
        found.append(torch.stack([left, top, size], dim=-1).reshape(-1, 3))
    return torch.cat(found)


def window_corners() -> Tensor:
    """Give the first of each window's places in the table of all levels' places.

    And how many places of its level lie side by side: int16 [N, 2], in the scores' order.
    """
    found, before = [], 0
    for side in LEVELS:
        across = windows_across(side)
        wide = across + CELLS - 1
        steps = torch.arange(across)
        corners = before + steps[:, None] * wide + steps[None, :]
        found.append(torch.stack([corners, torch.full_like(corners, wide)], -1).reshape(-1, 2))
        before += wide * wide
    return torch.cat(found).to(torch.int16)


def window_boxes() -> Tensor:
    """Give the face box of every window as (x, y, w, h) in input pixels, float32 [1, N, 4]."""
    left, top, size = windows().unbind(1)
    boxes = torch.stack([left + BOX_LEFT * size, top, BOX_WIDTH * size, size], dim=1)
    return boxes.unsqueeze(0)
