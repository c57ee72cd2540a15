"""What can be told of golden requests before they are pushed: that no answer could be right.

The gate on each node decides (it runs the model). Here is found what is certainly wrong, so that
nobody signs it: a value that no answer equals, a tensor that the model's file never names.
"""

import html
import math
import mmap
import re
import struct
from collections.abc import Iterable
from pathlib import Path

FLOATS = {"FP16": "<e", "FP32": "<f", "FP64": "<d"}
"""How each datatype that has values beyond numbers is unpacked."""


def not_finite(path: Path, datatype: str) -> str:
    """Which value of a golden output no answer can equal, in words; "" if there is none."""
    code = FLOATS.get(datatype)
    data = path.read_bytes()
    if code is None or len(data) % struct.calcsize(code):
        return ""  # a length that fits no shape is told with the shape
    for index, (value,) in enumerate(struct.iter_unpack(code, data)):
        if not math.isfinite(value):
            return f"value {index} is {value}, and no answer of a model is right then"
    return ""


def unnamed(path: Path, role: str, names: Iterable[str]) -> list[str]:
    """Those of the tensors' names that the model's file does not contain."""
    if role not in PATTERNS:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [name for name in names if not re.search(PATTERNS[role](name), data)]


def _in_xml(name: str) -> bytes:
    """An attribute, or one of several names in it; quotes may be escaped, or not."""
    spelled = {html.escape(name), html.escape(name, quote=False)}
    either = "|".join(sorted(re.escape(one) for one in spelled))
    return f"[\"',]({either})[\"',]".encode()


def _in_onnx(name: str) -> bytes:
    """A string of a protobuf message: its length stands before it."""
    encoded = name.encode()
    return re.escape(bytes([len(encoded)]) + encoded if len(encoded) < 128 else encoded)


PATTERNS = {"xml": _in_xml, "onnx": _in_onnx}
"""How a tensor's name stands in a model's file, by role. In others it may be made by the reader."""
