"""Artifacts: a signed manifest, and the chunks that it names.

An artifact is named by the SHA-256 of its manifest's envelope. The envelope is signed by a release
key, which no master and no node holds, so that whoever carries the bytes cannot alter them.
`open_manifest` keeps the order of a check: size, digest, signature, type, schema. What it returns
can be relied on: every length, index and digest in it is consistent and within the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mesh.blobs.chunking import FileHasher, chunk_bytes_for
from mesh.blobs.limits import ENVELOPE_BYTES_MAX
from mesh.blobs.manifest_rules import ManifestInvalid, check_manifest
from mesh.hashing import sha256
from mesh.signed import SignatureRefused, Signer, verify
from protos.documents_pb2 import Manifest

__all__ = [
    "MANIFEST_KIND",
    "Artifact",
    "Chunk",
    "FileHasher",
    "ManifestRefused",
    "chunk_bytes_for",
    "open_manifest",
    "seal",
]

MANIFEST_KIND = "manifest"
"""The type of the signed document, for `mesh.signed`."""


class ManifestRefused(ValueError):
    """These bytes are no manifest that may be used. Nothing was changed.

    `reason` is one of: too large, other digest, malformed, wrong type, unknown key,
    bad signature, invalid.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one file of an artifact, as it is fetched, checked and stored."""

    index: int
    """Over all files in the manifest's order, from 0."""
    file: int
    """Index of the file in the manifest."""
    offset: int
    """Bytes from the file's start."""
    length: int
    """Bytes, exactly; the last chunk of a file may be shorter than the others."""
    digest: bytes
    """SHA-256 of the chunk."""


@dataclass(frozen=True)
class Artifact:
    """A manifest that was checked, and what follows from it."""

    digest: bytes
    """SHA-256 of the envelope: the artifact's name."""
    envelope: bytes
    """The signed manifest's exact bytes."""
    manifest: Manifest
    chunks: tuple[Chunk, ...]
    total_bytes: int
    """Of all files together."""


def open_manifest(
    envelope: bytes, release_keys: Sequence[bytes], expected: bytes | None = None
) -> Artifact:
    """The artifact that `envelope` describes, if one of `release_keys` (raw Ed25519) signed it.

    `expected`: the digest under which it was asked for. Raises ManifestRefused.
    """
    if len(envelope) > ENVELOPE_BYTES_MAX:
        detail = f"{len(envelope)} bytes; a manifest has at most {ENVELOPE_BYTES_MAX}"
        raise ManifestRefused("too large", detail)
    digest = sha256(envelope)
    if expected is not None and digest != expected:
        detail = f"asked for {expected.hex()}, got {digest.hex()}: ask another peer"
        raise ManifestRefused("other digest", detail)
    manifest = _verified(envelope, release_keys)
    try:
        check_manifest(manifest)
    except ManifestInvalid as error:
        raise ManifestRefused("invalid", f"{error}; make the manifest anew") from None
    total_bytes = sum(file.length for file in manifest.files)
    return Artifact(digest, envelope, manifest, _chunks_of(manifest), total_bytes)


def seal(manifest: Manifest, signer: Signer) -> bytes:
    """The signed envelope of a manifest; its SHA-256 names the artifact.

    Raises ManifestRefused if nobody would accept it, so that it is noticed where it is made.
    """
    envelope = signer.sign(MANIFEST_KIND, manifest.SerializeToString(deterministic=True))
    return open_manifest(envelope, [signer.public_key]).envelope


def _verified(envelope: bytes, release_keys: Sequence[bytes]) -> Manifest:
    try:
        return Manifest.FromString(verify(envelope, MANIFEST_KIND, release_keys).payload)
    except SignatureRefused as error:
        detail = str(error).removeprefix(f"{error.reason}: ")
        raise ManifestRefused(error.reason, detail) from None
    except DecodeError:
        raise ManifestRefused("malformed", "signed, but no manifest") from None


def _chunks_of(manifest: Manifest) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    for number, file in enumerate(manifest.files):
        for position, digest in enumerate(file.chunks):
            offset = position * manifest.chunk_bytes
            length = min(manifest.chunk_bytes, file.length - offset)
            chunks.append(Chunk(len(chunks), number, offset, length, digest))
    return tuple(chunks)
