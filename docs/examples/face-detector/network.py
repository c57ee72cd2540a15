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

LEVELS = (320, 254, 202, 160, 127, 101, 80, 64, 50, 40, 32, 25)
"""Side in pixels of each pyramid level: three to an octave, so a step is about 2 ** (1 / 3)."""

PER_OCTAVE = 3

BOX_LEFT, BOX_WIDTH = 0.1, 0.8
"""The reported box within its window, as shares of the window's side: full height, and this wide.

Taken from the mean of the 100 training faces: forehead to chin fills the crop's height, and the
cheeks take about four fifths of its width.
"""


class WindowNet(nn.Module):
    """One logit per 25 x 25 window; fully convolutional, no padding, stride 4."""

    def __init__(self, channels: tuple[int, int, int, int] = (16, 32, 48, 96)) -> None:
        super().__init__()
        first, second, third, fourth = channels
        self.layers = nn.Sequential(
            *_block(1, first, kernel=5, stride=2),
            *_block(first, second, kernel=3, stride=2),
            *_block(second, third, kernel=3, stride=1),
            *_block(third, fourth, kernel=3, stride=1),
            nn.Dropout2d(0.2),
            nn.Conv2d(fourth, 1, kernel_size=1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Map grey values [B, 1, H, W] in -1..1 to logits [B, 1, (H-25)//4+1, (W-25)//4+1]."""
        logits: Tensor = self.layers(picture)
        return logits


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """Give a convolution, its normalisation and its activation."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class Detector(nn.Module):
    """What is exported: the pyramid, the window network on each level, and the windows' boxes."""

    boxes: Tensor

    def __init__(self, net: WindowNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("boxes", window_boxes())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 grey [1, 320, 320, 1] to scores [1, N] in 0..1 and boxes [1, N, 4]."""
        levels = pyramid(normalise(image))
        logits = [self.net(level).flatten(1) for level in levels]
        return torch.sigmoid(torch.cat(logits, 1)), self.boxes


def normalise(image: Tensor) -> Tensor:
    """Map uint8 [B, H, W, 1] to float32 [B, 1, H, W] in -1..1."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def pyramid(picture: Tensor) -> list[Tensor]:
    """Give the picture [B, 1, 320, 320] at every size of LEVELS, the largest first.

    Each octave begins with a 2 x 2 mean of the one before, so that no bilinear step shrinks by
    more than 1.6 and small levels do not alias.
    """
    levels = []
    for start in range(0, len(LEVELS), PER_OCTAVE):
        if start:
            picture = functional.avg_pool2d(picture, 2)
        levels.append(picture)
        for side in LEVELS[start + 1 : start + PER_OCTAVE]:
            levels.append(_resize(picture, side))
    return levels


def _resize(picture: Tensor, side: int) -> Tensor:
    """Scale bilinearly to side x side pixels."""
    return functional.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False)


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


def window_boxes() -> Tensor:
    """Give the face box of every window as (x, y, w, h) in input pixels, float32 [1, N, 4]."""
    left, top, size = windows().unbind(1)
    boxes = torch.stack([left + BOX_LEFT * size, top, BOX_WIDTH * size, size], dim=1)
    return boxes.unsqueeze(0)
