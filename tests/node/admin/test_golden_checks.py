"""Whether a model's file names a golden tensor, and whether a golden value is a number."""

import struct
from pathlib import Path

import pytest

from node.admin.golden_checks import not_finite, unnamed


@pytest.mark.parametrize(
    ("role", "data", "name", "there"),
    [
        ("xml", b'<port names="a,x,b"/>', "x", True),
        ("xml", b"<layer name='x'/>", "x", True),
        ("xml", b'<port names="xy"/>', "x", False),
        ("xml", b'<port names="a&lt;b&quot;"/>', 'a<b"', True),
        ("onnx", b"\x0a\x01x", "x", True),
        ("onnx", b"\x0a\x02xy", "x", False),
        ("onnx", b"\x0a\x90\x01" + b"n" * 144, "n" * 144, True),
        ("tflite", b"TFL3", "x", True),
    ],
)
def test_a_tensor_that_the_model_names(
    tmp_path: Path, role: str, data: bytes, name: str, there: bool
) -> None:
    path = tmp_path / "model"
    path.write_bytes(data)
    assert unnamed(path, role, [name]) == [name] * (not there)


@pytest.mark.parametrize(
    ("datatype", "data", "found"),
    [
        ("FP16", struct.pack("<ee", 1, float("inf")), "value 1 is inf"),
        ("FP32", struct.pack("<f", float("nan")), "value 0 is nan"),
        ("FP64", struct.pack("<d", 1e300), ""),
        ("INT32", b"\xff" * 8, ""),
        ("FP32", b"\xff" * 5, ""),
    ],
)
def test_a_golden_value_that_is_no_number(
    tmp_path: Path, datatype: str, data: bytes, found: str
) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(data)
    assert not_finite(path, datatype).startswith(found)
    assert bool(not_finite(path, datatype)) == bool(found)
