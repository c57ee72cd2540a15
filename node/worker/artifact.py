"""A model's bytes, as the signed manifest promises them.

Each file is opened once, and the bytes whose digest was checked are the bytes that are loaded: a
file that somebody swaps later changes nothing. The manifest's signature was checked by the agent;
its exact lengths and digests are checked here, where the bytes are used (OpenVINO accepts weights
with trailing bytes, and other things that it should not).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import DecodeError

from node.worker.errors import FailedError, RefusedError
from node.worker.limits import MANIFEST_BYTES_MAX
from protos.documents_pb2 import Manifest, ManifestFile
from protos.signed_pb2 import Envelope

PAYLOAD_TYPE = "application/vnd.mesh.manifest"
FORMATS = {
    frozenset({"xml", "bin"}),
    frozenset({"xml"}),
    frozenset({"onnx"}),
    frozenset({"pdmodel"}),
    frozenset({"tflite"}),
    frozenset({"pdmodel", "pdiparams"}),
}
OTHER_ROLES = frozenset({"golden", "data"})


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest and the verified bytes of its files, in the manifest's order."""

    manifest: Manifest
    files: tuple[bytes, ...]

    def of_role(self, role: str) -> bytes | None:
        """The bytes of the first file with `role`."""
        for file, data in zip(self.manifest.files, self.files, strict=True):
            if file.role == role:
                return data
        return None

    @property
    def format(self) -> frozenset[str]:
        """The roles of the files that make up the model itself."""
        return frozenset(file.role for file in self.manifest.files) - OTHER_ROLES


def read_artifact(manifest_path: str, paths: Sequence[str]) -> Artifact:
    """Reads and verifies a model.

    Raises FailedError if a file cannot be read (fetching it again may help), RefusedError if
    what was read is not what the manifest promises.
    """
    manifest = _manifest(manifest_path)
    if len(paths) != len(manifest.files):
        raise RefusedError(
            f"{len(paths)} files were given, the manifest names {len(manifest.files)}"
        )
    files = tuple(
        _file(index, file, path)
        for index, (file, path) in enumerate(zip(manifest.files, paths, strict=True))
    )
    artifact = Artifact(manifest, files)
    if artifact.format not in FORMATS:
        raise RefusedError(
            f"files of the roles {sorted(artifact.format)} make no model: push an OpenVINO IR "
            "(xml and bin), ONNX, TFLite or Paddle (pdmodel and pdiparams) model"
        )
    return artifact


def _manifest(path: str) -> Manifest:
    data = _read("the manifest", path, MANIFEST_BYTES_MAX + 1)
    if len(data) > MANIFEST_BYTES_MAX:
        raise RefusedError(f"the manifest is longer than {MANIFEST_BYTES_MAX} bytes")
    try:
        envelope = Envelope.FromString(data)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise RefusedError(f"a document of the type {envelope.payload_type!r} is no manifest")
        return Manifest.FromString(envelope.payload)
    except DecodeError:
        raise RefusedError("the manifest's bytes are no signed manifest") from None


def _file(index: int, file: ManifestFile, path: str) -> bytes:
    where = f"file {index} ({file.role})"
    # One byte more than promised is enough to know that it is too long.
    data = _read(where, path, file.length + 1)
    if len(data) != file.length:
        more = "more than " if len(data) > file.length else ""
        raise RefusedError(
            f"{where} has {more}{min(len(data), file.length)} bytes instead of {file.length}: "
            "it was cut or changed after its manifest was made; push or fetch the model again"
        )
    if sha256(data).digest() != file.digest:
        raise RefusedError(
            f"{where} is not what the manifest promises (its digest differs): it was changed "
            "after its manifest was made; push or fetch the model again"
        )
    return data


def _read(where: str, path: str, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            held = os.fstat(file.fileno()).st_size
            return file.read(min(held, length))
    except OSError as error:
        raise FailedError(f"{where} cannot be read: {error.strerror}") from None
