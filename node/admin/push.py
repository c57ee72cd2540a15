"""Pushing an artifact: hash, sign, send what the master lacks, release.

Files are read twice, once to make the manifest and once to send. Every chunk is hashed again when
it is sent, so a file that changed in between is noticed here, and nothing of it is released.
Broken off, a push goes on where it stopped: the master says what it lacks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mesh.blobs.manifest import (
    Artifact,
    Chunk,
    FileHasher,
    ManifestRefused,
    chunk_bytes_for,
    open_manifest,
    seal,
)
from mesh.hashing import sha256
from mesh.signed import Signer
from node.admin.client import Client
from node.admin.failures import Failure, bad_input
from node.admin.limits import PART_BYTES_MAX
from node.admin.model_folder import GoldenCase, Source, SourceFile, Tensor
from protos.admin_pb2 import PushChunk
from protos.documents_pb2 import Golden, GoldenTensor, Manifest, ManifestFile, ModelLimits

READ_BYTES = 1024 * 1024

Progress = Callable[[int], None]
"""Called with a number of bytes that are done."""


@dataclass(frozen=True, slots=True)
class Label:
    """What the operator says of an artifact."""

    name: str
    version: str
    memory_bytes: int
    load_ms: int


@dataclass(frozen=True, slots=True)
class Pushed:
    artifact: Artifact
    sent_bytes: int
    counter: int


def total_bytes(source: Source) -> int:
    """Of all files together. Raises Failure if one cannot be read."""
    try:
        return sum(one.path.stat().st_size for one in source.files)
    except OSError as error:
        raise Failure(f"cannot read {error.filename}: {error.strerror}") from None


def build(source: Source, label: Label, signer: Signer, progress: Progress) -> Artifact:
    """Hashes the files and signs the manifest. Raises Failure if it would not be accepted."""
    chunk_bytes = chunk_bytes_for(total_bytes(source))
    manifest = Manifest(
        name=label.name,
        version=label.version,
        kind=source.kind,
        chunk_bytes=chunk_bytes,
        files=[_hashed(one, chunk_bytes, progress) for one in source.files],
    )
    if source.kind == "model":
        limits = ModelLimits(memory_bytes=label.memory_bytes, load_ms=label.load_ms)
        manifest.limits.CopyFrom(limits)
        manifest.threshold = source.threshold
        manifest.golden.extend(_golden(one) for one in source.golden)
        manifest.tolerance_absolute = source.tolerance_absolute
        manifest.tolerance_relative = source.tolerance_relative
    try:
        return open_manifest(seal(manifest, signer), [signer.public_key])
    except ManifestRefused as error:
        raise bad_input(f"{label.name} {label.version}: {error}; nothing was pushed") from None


def send(
    client: Client, source: Source, artifact: Artifact, missing: Sequence[int], progress: Progress
) -> None:
    """Sends the missing chunks. Raises Failure; what arrived stays at the master."""
    if not missing:
        return
    reply = client.push_chunks(parts(source, artifact, missing, progress))
    if reply.missing:
        raise Failure(f"the master still lacks {len(reply.missing)} chunks; push again to go on")


def parts(
    source: Source, artifact: Artifact, missing: Sequence[int], progress: Progress
) -> Iterator[PushChunk]:
    """The missing chunks in messages of at most 192 KiB. Raises Failure for a changed file."""
    for number in missing:
        if number >= len(artifact.chunks):
            raise Failure(f"the master asks for chunk {number}, which the artifact does not have")
        chunk = artifact.chunks[number]
        data = _read(source.files[chunk.file], chunk)
        for start in range(0, len(data), PART_BYTES_MAX):
            part = data[start : start + PART_BYTES_MAX]
            more = start + len(part) < len(data)
            yield PushChunk(artifact=artifact.digest, chunk=number, data=part, more=more)
        progress(len(data))


def _hashed(file: SourceFile, chunk_bytes: int, progress: Progress) -> ManifestFile:
    hasher = FileHasher(file.role, chunk_bytes)
    try:
        with file.path.open("rb") as stream:
            while data := stream.read(READ_BYTES):
                hasher.feed(data)
                progress(len(data))
    except OSError as error:
        raise Failure(f"cannot read {file.path}: {error.strerror}") from None
    return hasher.file()


def _read(file: SourceFile, chunk: Chunk) -> bytes:
    try:
        with file.path.open("rb") as stream:
            stream.seek(chunk.offset)
            data = stream.read(chunk.length)
    except OSError as error:
        raise Failure(f"cannot read {file.path}: {error.strerror}") from None
    if sha256(data) != chunk.digest:
        raise bad_input(
            f"{file.path} changed after its manifest was made; nothing was released; push it again "
            "when nobody writes to it"
        )
    return data


def _golden(case: GoldenCase) -> Golden:
    return Golden(
        inputs=[_tensor(one) for one in case.inputs],
        outputs=[_tensor(one) for one in case.outputs],
    )


def _tensor(one: Tensor) -> GoldenTensor:
    return GoldenTensor(name=one.name, datatype=one.datatype, shape=one.shape, file=one.file)
