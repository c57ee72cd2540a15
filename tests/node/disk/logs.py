"""Logs of two nodes, what is written to them, and where it lies on the disk."""

import itertools
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.journals import Batch, BatchWriter, LogKey, make_entry
from mesh.signed import Signer
from node.disk.frames import encode_frame
from node.disk.journals import JournalStore

FOLDER = Path("/journals")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
NONCE = b"8 bytes!"
RECORDS = LogKey("north-1", 1, NONCE, "record")
DATA = LogKey("north-1", 1, NONCE, "data")
COPIED = LogKey("north-2", 1, NONCE, "data")
QUOTA = 1 << 20


def written(key: LogKey, count: int, bytes_each: int = 0) -> list[Batch]:
    writer = BatchWriter(key, SIGNER)
    entry = make_entry("event", "", "", {"v": "x" * bytes_each}, unix_ms=0, monotonic_ms=0)
    return [writer.batch([entry] * 2) for _ in range(count)]


def opened(disk, quota: int = QUOTA) -> JournalStore:
    return JournalStore(FOLDER, quota, "north-1", disk)


def envelopes(batches: list[Batch]) -> list[bytes]:
    return [batch.envelope for batch in batches]


def frame_ends(batches: list[Batch]) -> list[int]:
    """Where the frame of each batch ends in a segment that holds them all."""
    return list(itertools.accumulate(len(encode_frame(batch)) for batch in batches))


def segment(disk, key: LogKey, number: int = 0) -> bytearray:
    names = [path for path in disk.files(FOLDER) if path.match(f"{key.node}/*{key.kind}/*.seg")]
    return disk.data(FOLDER / names[number])
