"""From frames to what a model takes."""

import numpy as np
import pytest

from node.vision.tensors import DTYPES, NotForPictures, input_layout, prepared
from protos.inference_pb2 import ModelMetadataResponse


def metadata(datatype: str, shape: list[int], inputs: int = 1) -> ModelMetadataResponse:
    found = ModelMetadataResponse(name="m")
    for number in range(inputs):
        found.inputs.add(name=f"in{number}", datatype=datatype, shape=shape)
    return found


RED = np.zeros((60, 80, 3), np.uint8)
RED[:, :, 2] = 200


@pytest.mark.parametrize(
    ("datatype", "shape", "red"),
    [
        pytest.param("UINT8", [1, 40, 40, 3], 200, id="bytes, channels last"),
        pytest.param("UINT8", [-1, 3, 40, 40], 200, id="bytes, channels first, any batch"),
        pytest.param("FP32", [1, 3, 40, 40], 200 / 255, id="floats"),
        pytest.param("FP16", [1, 40, 40, 3], 200 / 255, id="half floats"),
    ],
)
def test_a_frame_is_fitted_in(datatype: str, shape: list[int], red: float) -> None:
    layout = input_layout(metadata(datatype, shape))
    raw, scale = prepared(RED, layout)
    tensor = np.frombuffer(raw, DTYPES[datatype]).reshape(layout.shape)[0]
    picture = tensor.transpose(1, 2, 0) if layout.channels_first else tensor
    assert scale == 0.5
    assert picture[0, 0].tolist() == pytest.approx([red, 0, 0], rel=1e-3)
    assert picture[29, 39, 0] == pytest.approx(red, rel=1e-3)
    assert not picture[30:].any(), "below lies black"


def test_a_small_frame_is_enlarged_and_grey_where_asked() -> None:
    layout = input_layout(metadata("UINT8", [1, 120, 320, 1]))
    raw, scale = prepared(RED, layout)
    picture = np.frombuffer(raw, np.uint8).reshape(120, 320)
    assert scale == 2.0
    assert picture[0, 0] == picture[119, 159] == 60
    assert not picture[:, 160:].any(), "at the right lies black"


@pytest.mark.parametrize(
    ("datatype", "shape", "inputs"),
    [
        pytest.param("UINT8", [1, 8, 8, 1], 2, id="two inputs"),
        pytest.param("INT64", [1, 8, 8, 1], 1, id="whole numbers"),
        pytest.param("UINT8", [1, 64], 1, id="no picture"),
        pytest.param("UINT8", [2, 8, 8, 1], 1, id="two at a time"),
        pytest.param("UINT8", [1, 8, 8, 4], 1, id="four channels"),
        pytest.param("UINT8", [1, -1, -1, 1], 1, id="any size"),
        pytest.param("UINT8", [1, 100_000, 8, 1], 1, id="too large"),
    ],
)
def test_what_takes_no_picture_is_refused(datatype: str, shape: list[int], inputs: int) -> None:
    with pytest.raises(NotForPictures, match="picture"):
        input_layout(metadata(datatype, shape, inputs))
