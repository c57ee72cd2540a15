"""Within tolerance or not, value by value, bfloat16 included."""

import numpy as np
import pytest

from node.worker.errors import RefusedError
from node.worker.golden import Example, check, numbers
from node.worker.tensors import Array


def outcome(want: list[float], have: list[float], absolute: float, relative: float) -> bool:
    example = Example({}, {"y": ("FP64", np.array(want))})
    try:
        check(example, {"y": ("FP64", np.array(have))}, absolute, relative)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("want", "have", "absolute", "relative", "right"),
    [
        ([1.0], [1.0], 0.0, 0.0, True),
        ([1.0], [1.25], 0.25, 0.0, True),
        ([1.0], [1.3], 0.25, 0.0, False),
        ([100.0], [110.0], 0.0, 0.1, True),
        ([100.0], [111.0], 0.0, 0.1, False),
        ([0.0], [float("nan")], 9.0, 9.0, False),
        ([0.0], [float("inf")], 9.0, 9.0, False),
        ([float("inf")], [float("inf")], 9.0, 9.0, False),
        ([float("nan")], [5.0], 9.0, 9.0, False),
        ([float("inf")], [5.0], 9.0, 9.0, False),
        ([float("nan"), 1.0], [float("nan"), 1.0], 9.0, 9.0, False),
        ([], [], 0.0, 0.0, True),
    ],
    ids=[
        "equal",
        "within the absolute part",
        "beyond the absolute part",
        "within the relative part",
        "beyond the relative part",
        "not a number",
        "infinite",
        "infinite as promised",
        "a golden value that is not a number",
        "a golden value that is infinite",
        "not a number as promised",
        "nothing to compare",
    ],
)
def test_tolerance(
    want: list[float], have: list[float], absolute: float, relative: float, right: bool
) -> None:
    assert outcome(want, have, absolute, relative) is right


def test_another_type_is_wrong_whatever_its_values() -> None:
    example = Example({}, {"y": ("FP32", np.ones(1, np.float32))})
    answer: dict[str, tuple[str, Array]] = {"y": ("INT32", np.ones(1, np.int32))}
    with pytest.raises(RefusedError, match="is INT32, not FP32"):
        check(example, answer, 1.0, 1.0)


def test_bfloat16_is_compared_by_its_value() -> None:
    assert numbers("BF16", np.array([0x3F80, 0x4000], np.uint16)).tolist() == [1.0, 2.0]
