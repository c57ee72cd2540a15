"""Frames between runtime and worker: four bytes of length, little-endian, then the message."""

import socket

from node.worker.limits import FRAME_BYTES_MAX

HEADER_BYTES = 4


def receive(connection: socket.socket) -> bytes | None:
    """The next frame's payload; None once the runtime has closed its end.

    Raises ValueError if the runtime announces more than FRAME_BYTES_MAX; nothing is allocated.
    """
    header = _exactly(connection, HEADER_BYTES)
    if header is None:
        return None
    length = int.from_bytes(header, "little")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes: at most {FRAME_BYTES_MAX} are allowed")
    return _exactly(connection, length)


def send(connection: socket.socket, payload: bytes) -> None:
    """Sends one frame. Raises ValueError if it is longer than FRAME_BYTES_MAX."""
    if len(payload) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {len(payload)} bytes: at most {FRAME_BYTES_MAX} are allowed")
    connection.sendall(len(payload).to_bytes(HEADER_BYTES, "little") + payload)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            return None
        received += part
    return bytes(received)
