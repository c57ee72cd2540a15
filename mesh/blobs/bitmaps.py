"""Sets of chunks as the bits of one int: union and difference of thousands in one operation."""

from collections.abc import Iterable, Iterator


def full(count: int) -> int:
    """The chunks 0 to `count` - 1."""
    return (1 << count) - 1


def of(chunks: Iterable[int]) -> int:
    """The set of these chunks."""
    bits = 0
    for chunk in chunks:
        bits |= 1 << chunk
    return bits


def members(bits: int) -> Iterator[int]:
    """The chunks in the set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def length(count: int) -> int:
    """Bytes of a bitmap of `count` chunks."""
    return (count + 7) // 8


def to_bytes(bits: int, count: int) -> bytes:
    """As `Holdings` carries it: bit i of byte i / 8."""
    return bits.to_bytes(length(count), "little")


def from_bytes(bitmap: bytes) -> int:
    """The set in a bitmap; the caller checks its range."""
    return int.from_bytes(bitmap, "little")
