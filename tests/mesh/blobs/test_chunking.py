"""Chunk sizes, and hashing a file in pieces."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.blobs.chunking import FileHasher, chunk_bytes_for, chunk_count

KIB, MIB = 1024, 1024 * 1024


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        pytest.param(1, 64 * KIB, id="the smallest artifact"),
        pytest.param(400 * KIB, 64 * KIB, id="a small model"),
        pytest.param(16 * MIB, 64 * KIB, id="256 of the smallest chunks"),
        pytest.param(16 * MIB + 1, 128 * KIB, id="one byte more"),
        pytest.param(32 * MIB, 128 * KIB, id="a companion artifact"),
        pytest.param(256 * MIB, MIB, id="256 of the largest chunks"),
        pytest.param(5120 * MIB, MIB, id="the largest artifact"),
    ],
)
def test_chunk_size_grows_with_the_artifact(total: int, expected: int) -> None:
    assert chunk_bytes_for(total) == expected


@pytest.mark.parametrize(
    ("length", "count"), [(0, 0), (1, 1), (65536, 1), (65537, 2)], ids=lambda value: str(value)
)
def test_chunk_count(length: int, count: int) -> None:
    assert chunk_count(length, 65536) == count


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=12), st.sampled_from([1, 3, 16, 64]))
def test_pieces_of_any_size_hash_alike(pieces: list[bytes], chunk_bytes: int) -> None:
    hasher = FileHasher("data", chunk_bytes)
    for piece in pieces:
        hasher.feed(piece)
    file = hasher.file()
    whole = b"".join(pieces)
    cut = [whole[start : start + chunk_bytes] for start in range(0, len(whole), chunk_bytes)]
    assert file.role == "data"
    assert file.length == len(whole)
    assert file.digest == hashlib.sha256(whole).digest()
    assert list(file.chunks) == [hashlib.sha256(chunk).digest() for chunk in cut]
