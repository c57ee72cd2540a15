"""Training pictures: bundled photographs, drawn scenes, and 25 x 25 patches of faces and others.

Only `train.py` needs this file. The photograph `astronaut` is never read here.
All pictures are grey uint8 [H, W]; all patches are grey uint8 [25, 25].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from network import SIDE, WINDOW
from numpy.typing import NDArray
from skimage import data

Grey = NDArray[np.uint8]
Rng = np.random.Generator

BUNDLED = (
    "brick", "camera", "cell", "chelsea", "clock", "coffee", "colorwheel", "grass", "gravel",
    "horse", "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon",
    "page", "shepp_logan_phantom", "retina", "rocket", "text",
)  # fmt: skip
"""Pictures of scikit-image that hold no face; `coins` shows heads, `astronaut` is the check."""

CAMERA_HEAD = (slice(60, 190), slice(180, 320))
"""Rows and columns of the cameraman's head, painted over: it is a face, not a negative."""


def lfw() -> tuple[list[Grey], list[Grey]]:
    """Give the 100 faces and the 100 others of `lfw_subset`, 25 x 25 each."""
    patches = (data.lfw_subset() * 255).astype(np.uint8)
    return list(patches[:100]), list(patches[100:])


def bundled() -> list[Grey]:
    """Give scikit-image's own pictures without faces (see BUNDLED)."""
    found = [_grey(getattr(data, name)()) for name in BUNDLED]
    camera = found[BUNDLED.index("camera")]
    camera[CAMERA_HEAD] = int(np.median(camera[:60]))
    left, _, _ = data.stereo_motorcycle()
    return [*found, _grey(left)]


def _grey(picture: NDArray[Any]) -> Grey:
    """Make any scikit-image picture grey uint8."""
    if picture.dtype != np.uint8:
        picture = (picture.astype(np.float64) * 255).astype(np.uint8)
    if picture.ndim == 2:
        return picture.copy()
    return np.asarray(cv2.cvtColor(picture[..., :3].copy(), cv2.COLOR_RGB2GRAY), np.uint8)


def random_view(picture: Grey, rng: Rng, bent: float = 0.0, side: int = SIDE) -> Grey:
    """Cut a random square of the picture, turned, mirrored, relit, scaled to side x side.

    `bent` is the share of the views that are set askew as well: unlike what a camera shows, but
    the few pictures there are give more kinds of edges and surfaces so.
    """
    height, width = picture.shape
    size = int(min(height, width) * rng.uniform(0.25, 1.0))
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    view = cv2.resize(picture[top : top + size, left : left + size], (side, side),
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    view = np.rot90(view, int(rng.integers(0, 4)))
    view = np.ascontiguousarray(view[:, ::-1] if rng.random() < 0.5 else view)
    return relight(askew(view, rng) if rng.random() < bent else view, rng)


def askew(view: Grey, rng: Rng) -> Grey:
    """Turn a view by any angle, stretch and zoom into it, and now and then make it a negative."""
    side = view.shape[0]
    turn, zoom = rng.uniform(-45, 45), rng.uniform(1, 1.5)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom)
    stretch = float(np.exp(rng.uniform(-0.35, 0.35)))
    matrix[0] = matrix[0] * stretch + (0, 0, side / 2 * (1 - stretch))
    bent = cv2.warpAffine(view, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(255 - bent if rng.random() < 0.15 else bent, np.uint8)


def mixed(one: Grey, other: Grey, rng: Rng) -> Grey:
    """Lay one scene over another, evenly or through a mask of clouds."""
    weight = np.full(one.shape, rng.uniform(0.3, 0.7), np.float32)
    if rng.random() < 0.5:
        mask = (clouds(rng, len(one)) > 127).astype(np.float32)
        weight = np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float32)
    return np.asarray(one * weight + other * (1 - weight), np.uint8)


def relight(picture: NDArray[Any], rng: Rng) -> Grey:
    """Change gamma, contrast and brightness at random, and now and then add noise."""
    values = np.linspace(0.0, 1.0, 256) ** float(np.exp(rng.uniform(-0.5, 0.5)))
    values = (values - 0.5) * rng.uniform(0.55, 1.25) + 0.5 + rng.uniform(-0.15, 0.15)
    table = np.clip(values * 255, 0, 255).astype(np.uint8)
    lit = table[picture]
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 8), lit.shape)
        lit = np.clip(lit + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(lit)


# ---------------------------------------------------------------------------- drawn scenes


def drawn(rng: Rng, side: int = SIDE) -> Grey:
    """Draw a scene of clouds, cloth folds, discs, rings, stripes, words: anything but a face."""
    scene = clouds(rng, side)
    for _ in range(int(rng.integers(6, 40))):
        SHAPES[int(rng.integers(0, len(SHAPES)))](scene, rng)
    if rng.random() < 0.6:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.4, 2.5)), np.uint8)
    return relight(scene, rng)


def clouds(rng: Rng, side: int) -> Grey:
    """Draw smooth noise of several grain sizes, as of a studio's backdrop or of cloth."""
    total = np.zeros((side, side), np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        grain = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        weight = rng.uniform(0, 1) / np.sqrt(cells)
        total += cv2.resize(grain, (side, side), interpolation=cv2.INTER_CUBIC) * weight
    total = total / (np.abs(total).max() + 1e-6) * rng.uniform(10, 100) + rng.uniform(50, 200)
    return np.asarray(np.clip(total, 0, 255), np.uint8)


def _point(scene: Grey, rng: Rng) -> tuple[int, int]:
    """Give a random place on the scene as (x, y)."""
    return int(rng.integers(0, scene.shape[1])), int(rng.integers(0, scene.shape[0]))


def _size(scene: Grey, rng: Rng) -> int:
    """Give a random length in pixels; small ones are likelier."""
    return int(scene.shape[0] * 0.4 * rng.random() ** 2) + 3


def _tone(rng: Rng) -> int:
    return int(rng.integers(0, 256))


def _ellipse(scene: Grey, rng: Rng) -> None:
    size = _size(scene, rng)
    axes = (size, int(size * rng.uniform(0.4, 1.6)) + 1)
    turn = int(rng.integers(0, 180))
    thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 9))
    cv2.ellipse(scene, _point(scene, rng), axes, turn, 0, 360, _tone(rng), thick, cv2.LINE_AA)


def _rings(scene: Grey, rng: Rng) -> None:
    """Rings within rings: collars, badges, lenses, wheels."""
    centre, size = _point(scene, rng), _size(scene, rng)
    flat = rng.uniform(0.3, 1.0)
    turn = int(rng.integers(0, 180))
    for share in np.sort(rng.uniform(0.1, 1, int(rng.integers(2, 6))))[::-1]:
        axes = (int(size * share) + 1, int(size * share * flat) + 1)
        cv2.ellipse(scene, centre, axes, turn, 0, 360, _tone(rng), -1, cv2.LINE_AA)


def _stripes(scene: Grey, rng: Rng) -> None:
    """Slanted parallel bands, as of a flag, a blind, a crossing."""
    (x, y), size = _point(scene, rng), _size(scene, rng) * 2
    step, slant = int(rng.integers(3, 20)), int(rng.integers(-size, size + 1))
    tone = _tone(rng)
    for offset in range(0, size, step * 2):
        start, end = (x + offset, y), (x + offset + slant, y + size)
        cv2.line(scene, start, end, tone, step, cv2.LINE_AA)


def _rectangle(scene: Grey, rng: Rng) -> None:
    centre, size = _point(scene, rng), _size(scene, rng)
    sides = (float(size), float(size * rng.uniform(0.2, 3)))
    corners = cv2.boxPoints((centre, sides, float(rng.uniform(0, 90))))
    cv2.fillPoly(scene, [corners.astype(np.int32)], _tone(rng), cv2.LINE_AA)


def _polygon(scene: Grey, rng: Rng) -> None:
    (x, y), size = _point(scene, rng), _size(scene, rng)
    corners = np.array([x, y]) + rng.integers(-size, size + 1, (int(rng.integers(3, 7)), 2))
    cv2.fillPoly(scene, [corners.astype(np.int32)], _tone(rng), cv2.LINE_AA)


def _line(scene: Grey, rng: Rng) -> None:
    thick = int(rng.integers(1, 12))
    cv2.line(scene, _point(scene, rng), _point(scene, rng), _tone(rng), thick, cv2.LINE_AA)


def _word(scene: Grey, rng: Rng) -> None:
    letters = "".join(chr(code) for code in rng.integers(48, 91, int(rng.integers(1, 9))))
    scale = float(rng.uniform(0.3, 3.0))
    cv2.putText(scene, letters, _point(scene, rng), cv2.FONT_HERSHEY_SIMPLEX, scale, _tone(rng),
                int(rng.integers(1, 6)), cv2.LINE_AA)  # fmt: skip


def _dots(scene: Grey, rng: Rng) -> None:
    """A few dark or light dots near each other: what eyes and mouths are not."""
    (x, y), size, tone = _point(scene, rng), _size(scene, rng), _tone(rng)
    for _ in range(int(rng.integers(2, 6))):
        dx, dy = rng.integers(-size, size + 1, 2)
        cv2.circle(scene, (int(x + dx), int(y + dy)), size // 8 + 1, tone, -1, cv2.LINE_AA)


def _shade(scene: Grey, rng: Rng) -> None:
    """A soft bright or dark fold, as of sleeves, helmets and cushions."""
    layer = np.zeros(scene.shape, np.float32)
    size = _size(scene, rng)
    axes = (size, int(size * rng.uniform(0.2, 1.0)) + 1)
    cv2.ellipse(layer, _point(scene, rng), axes, int(rng.integers(0, 180)), 0, 360, 1.0, -1)
    layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), size * 0.3 + 1), np.float32)
    scene[:] = np.clip(scene + layer * rng.uniform(-120, 120), 0, 255).astype(np.uint8)


SHAPES: tuple[Callable[[Grey, Rng], None], ...] = (
    _ellipse, _rings, _stripes, _rectangle, _polygon, _line, _word, _dots, _shade,
)  # fmt: skip


# ----------------------------------------------------------------------- patches and pasting


def face_mask(side: int, rng: Rng) -> NDArray[np.float32]:
    """Give soft weights [side, side] that keep a face and fade its crop's corners out."""
    mask = np.zeros((side, side), np.float32)
    half = side / 2
    if rng.random() < 0.5:
        axes = (int(half * rng.uniform(0.75, 0.95)), int(half * rng.uniform(0.9, 1.0)))
        cv2.ellipse(mask, (side // 2, side // 2), axes, 0, 0, 360, 1.0, -1)
    else:
        edge = max(1, side // 16)
        mask[edge:-edge, edge:-edge] = 1.0
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), side / 25 + 0.3), np.float32)


def warp(patch: Grey, turn: float, scale: float, dx: float, dy: float) -> Grey:
    """Turn (degrees), scale and shift (pixels) a patch about its middle, repeating its border."""
    middle = (WINDOW - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), turn, scale)
    matrix[:, 2] += (dx, dy)
    bent = cv2.warpAffine(patch, matrix, (WINDOW, WINDOW), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.uint8)


def positive(face: Grey, backdrop: Grey, rng: Rng) -> Grey:
    """Vary a face as a window may see it: off by half a step, turned a little, relit, blurred."""
    patch = face[:, ::-1].copy() if rng.random() < 0.5 else face
    if rng.random() < 0.5:
        mask = face_mask(WINDOW, rng)
        patch = (patch * mask + backdrop * (1 - mask)).astype(np.uint8)
    dx, dy = rng.uniform(-2.2, 2.2, 2)
    scale = float(np.exp(rng.uniform(-0.13, 0.13)))
    patch = warp(patch, rng.uniform(-12, 12), scale, dx, dy)
    return relight(_focus(patch, rng), rng)


def _focus(patch: Grey, rng: Rng) -> Grey:
    """Blur or sharpen a patch at random: cameras and zoomed pictures do both."""
    amount = rng.uniform(-0.8, 0.8)
    soft = cv2.GaussianBlur(patch, (0, 0), 0.9)
    weight = amount if amount < 0 else amount * 0.8
    return np.asarray(cv2.addWeighted(patch, 1 + weight, soft, -weight, 0), np.uint8)


def scrambled(face: Grey, rng: Rng) -> Grey:
    """Cut a face into blocks and put them back in another order."""
    cells = int(rng.integers(2, 4))
    size = WINDOW // cells + 1
    whole = cv2.resize(face, (size * cells, size * cells))
    order = rng.permutation(cells * cells)
    while (order == np.arange(cells * cells)).all():
        order = rng.permutation(cells * cells)
    blocks = [whole[r * size : r * size + size, c * size : c * size + size]
              for r in range(cells) for c in range(cells)]  # fmt: skip
    rows = [np.hstack([blocks[i] for i in order[r * cells : (r + 1) * cells]])
            for r in range(cells)]  # fmt: skip
    return np.asarray(cv2.resize(np.vstack(rows), (WINDOW, WINDOW)), np.uint8)


def cut(face: Grey, other: Grey, rng: Rng) -> Grey:
    """Keep only one half of a face and show something else in place of the other half."""
    patch = other.copy()
    edge = int(rng.integers(9, 15))
    first, second = slice(None, edge), slice(edge, None)
    whole = slice(None)
    halves = ((first, whole), (second, whole), (whole, first), (whole, second))
    half = halves[int(rng.integers(4))]
    patch[half] = face[half]
    return patch


def misframed(face: Grey, rng: Rng) -> Grey:
    """Show a face much too near, or far off the middle."""
    if rng.random() < 0.5:
        near = rng.uniform(1.6, 3.0)
        return warp(face, rng.uniform(-20, 20), near, *rng.uniform(-12, 12, 2))
    way, far = rng.uniform(0, 2 * np.pi), rng.uniform(9, 18)
    return warp(face, rng.uniform(-20, 20), 1.0, far * np.cos(way), far * np.sin(way))


def turned(face: Grey, rng: Rng) -> Grey:
    """Show a face on its side or on its head."""
    return np.ascontiguousarray(np.rot90(face, int(rng.integers(1, 4))))


def negative(face: Grey, other: Grey, rng: Rng) -> Grey:
    """Make a patch of one of the kinds above, or of another thing, that is no face."""
    kind = rng.random()
    if kind < 0.15:
        patch = scrambled(face, rng)
    elif kind < 0.3:
        patch = cut(face, other, rng)
    elif kind < 0.55:
        patch = misframed(face, rng)
    elif kind < 0.65:
        patch = turned(face, rng)
    else:
        patch = np.rot90(other, int(rng.integers(0, 4)))
    return relight(np.ascontiguousarray(patch), rng)


def paste_faces(scene: Grey, faces: list[Grey], rng: Rng, most: int = 3) -> NDArray[np.float32]:
    """Put one to `most` faces on the scene; give their windows (x, y, side), float32 [M, 3]."""
    placed: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(1, most + 1))):
        size = int(np.exp(rng.uniform(np.log(WINDOW), np.log(SIDE * 0.75))))
        x, y = (int(v) for v in rng.integers(0, SIDE - size + 1, 2))
        if any(abs(x - px) < max(size, s) and abs(y - py) < max(size, s) for px, py, s in placed):
            continue
        face = relight(faces[int(rng.integers(len(faces)))], rng)
        face = face[:, ::-1] if rng.random() < 0.5 else face
        big = cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        mask = face_mask(size, rng)
        part = scene[y : y + size, x : x + size]
        part[:] = np.clip(big * mask + part * (1 - mask), 0, 255).astype(np.uint8)
        placed.append((x, y, size))
    return np.array(placed, np.float32).reshape(-1, 3)
