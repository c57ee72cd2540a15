"""From a frame to the model's input: what the model wants, and how a frame becomes that.

A frame is scaled so that it fits, its longer side whole, and lies at the top left; the rest is
black. So shapes keep their proportions, and a length in the frame is one in the input divided by
the scale. Three channels are in the order red, green, blue; numbers with a fraction run from 0
to 1, whole ones from 0 to 255.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from node.vision.limits import INPUT_SIDE_MAX
from protos.inference_pb2 import ModelMetadataResponse

DTYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
}


class NotForPictures(ValueError):
    """The service's model takes or gives something else than this pipeline can serve."""


@dataclass(frozen=True, slots=True)
class InputLayout:
    """The model's only input: a picture."""

    name: str
    datatype: str
    height: int
    width: int
    channels: int
    channels_first: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's shape, of one picture."""
        if self.channels_first:
            return (1, self.channels, self.height, self.width)
        return (1, self.height, self.width, self.channels)


def input_layout(metadata: ModelMetadataResponse) -> InputLayout:
    """Read the layout from a model's metadata. Raises NotForPictures."""
    if len(metadata.inputs) != 1:
        raise NotForPictures(f"{metadata.name} takes {len(metadata.inputs)} inputs, not a picture")
    tensor = metadata.inputs[0]
    said = f"{metadata.name} takes {tensor.name}: {tensor.datatype} {list(tensor.shape)}"
    if tensor.datatype not in DTYPES:
        raise NotForPictures(f"{said}; a picture is one of {', '.join(DTYPES)}")
    if len(tensor.shape) != 4 or tensor.shape[0] not in (1, -1):
        raise NotForPictures(f"{said}; a picture has 4 dimensions, the first 1")
    _, first, second, third = tensor.shape
    channels_first = third not in (1, 3)
    height, width = (second, third) if channels_first else (first, second)
    channels = first if channels_first else third
    if channels not in (1, 3) or not 0 < min(height, width) <= max(height, width) <= INPUT_SIDE_MAX:
        raise NotForPictures(
            f"{said}; a picture has 1 or 3 channels, first or last, and fixed sides up to "
            f"{INPUT_SIDE_MAX}"
        )
    return InputLayout(tensor.name, tensor.datatype, height, width, channels, channels_first)


def prepared(frame: NDArray[np.uint8], layout: InputLayout) -> tuple[bytes, float]:
    """Make the input's raw contents of a BGR frame; also gives the scale."""
    code = cv2.COLOR_BGR2GRAY if layout.channels == 1 else cv2.COLOR_BGR2RGB
    height, width = frame.shape[:2]
    scale = min(layout.height / height, layout.width / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    # Colours first: scaling three channels costs more than converting them.
    small = cv2.resize(cv2.cvtColor(frame, code), size, interpolation=interpolation)
    picture = np.zeros((layout.height, layout.width, layout.channels), np.uint8)
    picture[: size[1], : size[0]] = small.reshape(size[1], size[0], layout.channels)
    if layout.channels_first:
        picture = picture.transpose(2, 0, 1)
    if layout.datatype == "UINT8":
        return picture.tobytes(), scale
    return (picture / np.float32(255)).astype(DTYPES[layout.datatype]).tobytes(), scale
