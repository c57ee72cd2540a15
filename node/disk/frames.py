"""Frames: how batches lie in a segment file, so that a torn or flipped one is noticed.

    magic "MJB1" | length of the envelope | CRC-32 | first | last | digest of the payload | envelope

The CRC covers all but magic and itself. It is there against disks, not against people: who altered
a batch on purpose is found by its signature.
"""

import struct
import zlib
from dataclasses import dataclass

from mesh.journals import Batch
from mesh.journals.limits import ENVELOPE_BYTES_MAX

_MAGIC = b"MJB1"
_HEADER = struct.Struct(">4sIIQQ32s")
_CHECKED = struct.Struct(">IQQ32s")

_RESYNCS_MAX = 64
"""Places looked at for a whole frame behind a bad one. Worst case 12 MiB of CRC, 10 ms."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame in a segment's bytes: its batch's sequences, and where the envelope lies."""

    first: int
    last: int
    digest: bytes
    start: int
    end: int


def encode_frame(batch: Batch) -> bytes:
    """The bytes that append `batch` to a segment."""
    check = _crc(len(batch.envelope), batch.first, batch.last, batch.digest, batch.envelope)
    header = _HEADER.pack(_MAGIC, len(batch.envelope), check, batch.first, batch.last, batch.digest)
    return header + batch.envelope


def scan_frames(data: bytes, after: int = 0) -> tuple[list[Frame], int]:
    """The whole frames from the start of `data`, and where the first that is not whole begins.

    Sequences grow: a frame that does not go on beyond the one before it, or beyond `after`, is
    not whole either.
    """
    frames: list[Frame] = []
    place = 0
    while (frame := _frame_at(data, place)) is not None and frame.first > after:
        frames.append(frame)
        after, place = frame.last, frame.end
    return frames, place


def is_torn(data: bytes, place: int) -> bool:
    """Whether nothing whole follows the bad frame at `place`: the mark of a write cut short."""
    for _ in range(_RESYNCS_MAX):
        place = data.find(_MAGIC, place + 1)
        if place < 0:
            return True
        if _frame_at(data, place) is not None:
            return False
    return False


def _frame_at(data: bytes, place: int) -> Frame | None:
    start = place + _HEADER.size
    if len(data) < start:
        return None
    magic, length, check, first, last, digest = _HEADER.unpack_from(data, place)
    end = start + length
    if magic != _MAGIC or length > ENVELOPE_BYTES_MAX or end > len(data):
        return None
    if check != _crc(length, first, last, digest, memoryview(data)[start:end]):
        return None
    return Frame(first, last, digest, start, end)


def _crc(length: int, first: int, last: int, digest: bytes, envelope: bytes | memoryview) -> int:
    return zlib.crc32(envelope, zlib.crc32(_CHECKED.pack(length, first, last, digest)))
