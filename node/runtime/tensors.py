"""A tensor on its way between the inference protocol and a worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """Raw little-endian values, row by row; `datatype` in the inference protocol's words."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes
