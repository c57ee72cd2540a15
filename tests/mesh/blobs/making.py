"""Artifacts for tests: real manifests over bytes drawn from a seed."""

import random
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import Artifact, FileHasher, open_manifest, seal
from mesh.signed import Signer
from protos.documents_pb2 import Manifest

RELEASE = Signer(Ed25519PrivateKey.from_private_bytes(b"r" * 32))
CHUNK = 64 * 1024


@cache
def artifact_of(chunks: int, seed: int = 1, chunk_bytes: int = CHUNK) -> Artifact:
    """An artifact of one file of `chunks` chunks, the last one a byte short. The bytes repeat
    within a chunk, so that many can be made fast."""
    hasher = FileHasher("data", chunk_bytes)
    rng = random.Random(seed)
    for index in range(chunks):
        length = chunk_bytes - (1 if index == chunks - 1 else 0)
        hasher.feed((rng.randbytes(64) * (chunk_bytes // 64))[:length])
    manifest = Manifest(name="bytes", version=f"1.0.{seed}", kind="data", chunk_bytes=chunk_bytes)
    manifest.files.append(hasher.file())
    return open_manifest(seal(manifest, RELEASE), [RELEASE.public_key])
