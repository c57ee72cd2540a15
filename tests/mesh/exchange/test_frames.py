"""Frames: hostile until checked, and packed within their limits."""

import pytest

from mesh.exchange.frames import (
    DOCUMENTS_BYTES_MAX,
    ENTRIES_MAX,
    FRAME_BYTES_MAX,
    PeerFault,
    encode,
    pack,
    parse_frame,
)
from protos.peer_pb2 import Documents, Frame, Want


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\0" * (FRAME_BYTES_MAX + 1), "at most 262144", id="too large"),
        pytest.param(b"\xff\xff", "cannot be parsed", id="broken"),
        pytest.param(
            encode(want=Want(registers=[""] * 100_000)), "100000 entries", id="10^5 entries"
        ),
        pytest.param(
            encode(documents=Documents(loads=[b""] * (ENTRIES_MAX + 1))), "loads", id="one too many"
        ),
    ],
)
def test_a_peer_that_breaks_the_protocol(data: bytes, words: str) -> None:
    with pytest.raises(PeerFault, match=words):
        parse_frame(data)


@pytest.mark.parametrize("length", [0, ENTRIES_MAX + 904])
def test_a_frame_of_a_newer_release_is_no_fault(length: int) -> None:
    field_100 = b"\xa2\x06" + bytes([0x80 | length & 0x7F, length >> 7]) + b"x" * length
    assert parse_frame(field_100).WhichOneof("kind") is None


def test_documents_are_packed_in_order_and_within_the_limit() -> None:
    documents = [("registers", bytes([n]) * 40_000) for n in range(9)]
    frames = [Frame.FromString(data) for data in pack(documents)]
    assert [e for f in frames for e in f.documents.registers] == [e for _, e in documents]
    assert all(f.ByteSize() <= DOCUMENTS_BYTES_MAX + 100 for f in frames)
    assert pack([]) == []
    large = ("state", b"x" * (DOCUMENTS_BYTES_MAX + 5))
    assert len(pack([large, large])) == 2
