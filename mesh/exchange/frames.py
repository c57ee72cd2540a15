"""Frames on a link: their limits, and what a peer may not do.

A frame is checked for its size before it is parsed, and for the number of entries of each repeated
field before any entry is looked at (an empty message of 2 bytes costs about 50 in memory).
"""

from google.protobuf.message import DecodeError

from protos.peer_pb2 import Documents, Frame

PROTOCOL = 1
FRAME_BYTES_MAX = 256 * 1024
"""Of one control frame. 4 MiB of empty sub-messages would cost 96 MiB of memory; 256 KiB, 6."""
DOCUMENTS_BYTES_MAX = 128 * 1024
"""What is packed into one frame: half of the limit, so that one large document still fits."""
ENTRIES_MAX = 4096
"""Of each repeated field of a frame."""


class PeerFault(ValueError):
    """The peer broke the protocol. The link is closed; nothing was changed by the frame."""


def parse_frame(data: bytes) -> Frame:
    """The frame in `data`. Raises PeerFault if it is too large, broken, or has too many entries."""
    if len(data) > FRAME_BYTES_MAX:
        raise PeerFault(f"a frame of {len(data)} bytes; at most {FRAME_BYTES_MAX} are allowed")
    try:
        frame = Frame.FromString(data)
    except DecodeError:
        raise PeerFault("a frame that cannot be parsed") from None
    if len(data) <= ENTRIES_MAX:  # an entry has a byte at least
        return frame
    kind = frame.WhichOneof("kind")
    if kind is None:
        return frame  # of a newer release: nothing that we know
    for field, value in getattr(frame, kind).ListFields():
        if field.is_repeated and len(value) > ENTRIES_MAX:
            raise PeerFault(f"{kind}.{field.name} has {len(value)} entries, at most {ENTRIES_MAX}")
    return frame


def encode(**kind: object) -> bytes:
    """The bytes of a frame of one kind: encode(hello=Hello(...))."""
    return Frame(**kind).SerializeToString()  # type: ignore[arg-type]


def pack(documents: list[tuple[str, bytes]]) -> list[bytes]:
    """Frames that carry `documents` (field of Documents, envelope), in order, each of bounded size.

    The order is the sender's: the most important class first.
    """
    frames: list[bytes] = []
    current, size = Documents(), 0
    for field, envelope in documents:
        if size and size + len(envelope) > DOCUMENTS_BYTES_MAX:
            frames.append(encode(documents=current))
            current, size = Documents(), 0
        getattr(current, field).append(envelope)
        size += len(envelope) + 8
    if size:
        frames.append(encode(documents=current))
    return frames
