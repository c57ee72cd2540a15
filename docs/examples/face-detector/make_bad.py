"""Make bad versions of the model, to show what refuses them: `python make_bad.py --out DIR`.

Each kind becomes a folder DIR/KIND with face-detector.xml and .bin. `broken-weights` loads, and
takes and gives tensors as it should, but its scores are wrong. Needs numpy only.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

HERE = Path(__file__).parent


def break_weights(folder: Path) -> None:
    """Reverse the order of every convolution's weights in the model in this folder.

    The values stay plausible in number and size, as they would after a mix-up of files.
    """
    weights = bytearray((folder / "face-detector.bin").read_bytes())
    for offset, size in convolution_weights(folder / "face-detector.xml"):
        values = np.frombuffer(weights[offset : offset + size], np.dtype("<f2"))
        weights[offset : offset + size] = values[::-1].tobytes()
    (folder / "face-detector.bin").write_bytes(weights)


def convolution_weights(model: Path) -> list[tuple[int, int]]:
    """Give (offset, size) in bytes of each four-dimensional half-precision constant."""
    places = set()
    for layer in ElementTree.parse(model).getroot().iterfind("layers/layer[@type='Const']/data"):
        if layer.get("element_type") == "f16" and layer.get("shape", "").count(",") == 3:
            places.add((int(layer.get("offset", 0)), int(layer.get("size", 0))))
    return sorted(place for place in places if place[1] > 2)


KINDS: dict[str, Callable[[Path], None]] = {"broken-weights": break_weights}
"""How to spoil a copy of the good model, by kind of badness."""


def make(kind: str, model: Path, out: Path) -> Path:
    """Copy the model's two files to out/kind, spoil them, and give that folder."""
    folder = out / kind
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("face-detector.xml", "face-detector.bin"):
        shutil.copyfile(model / name, folder / name)
    KINDS[kind](folder)
    return folder


def main() -> None:
    """Make every kind of bad version."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE, help="folder of the good IR")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for kind in KINDS:
        print(make(kind, options.model, options.out))


if __name__ == "__main__":
    main()
