"""Artifacts for tests of the swarm: real signed manifests of bytes that nobody has."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs.manifest import Artifact, open_manifest, seal
from mesh.hashing import sha256
from mesh.signed import Signer
from protos.documents_pb2 import Manifest, ManifestFile

RELEASE = Signer(Ed25519PrivateKey.from_private_bytes(b"r" * 32))
CHUNK = 64 * 1024


@cache
def artifact_of(chunks: int, seed: int = 1, chunk_bytes: int = CHUNK) -> Artifact:
    """An artifact of one file of `chunks` chunks, the last one a byte short."""
    digests = [sha256(b"%d %d" % (seed, index)) for index in range(chunks)]
    file = ManifestFile(role="data", length=chunks * chunk_bytes - 1, digest=sha256(b"whole"))
    file.chunks.extend(digests)
    manifest = Manifest(name="bytes", version=f"1.0.{seed}", kind="data", chunk_bytes=chunk_bytes)
    manifest.files.append(file)
    return open_manifest(seal(manifest, RELEASE), [RELEASE.public_key])
