"""What a manifest must keep, beyond its signature.

A signer can err too, and what is signed decides how much disk and memory a node sets aside. Each
rule is a function that raises ManifestInvalid and names the place within the manifest.
"""

import math
import re
from collections import Counter

from mesh.blobs import limits
from mesh.blobs.chunking import chunk_count
from protos.documents_pb2 import Golden, GoldenTensor, Manifest, ManifestFile

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label, as for every name in the mesh."""

VERSION = re.compile(r"[0-9A-Za-z.+-]{1,64}")

DIGEST_BYTES = 32

COMPANION_ROLES = {"xml": {"bin"}, "onnx": set(), "tflite": set(), "pdmodel": {"pdiparams"}}
"""The roles that a model can start from, and what may stand beside each, once."""

GOLDEN_ROLE = "golden"
DATA_ROLE = "data"

DATATYPE_BYTES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "BF16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Bytes of one element, of the inference protocol's types that have a fixed size."""


class ManifestInvalid(ValueError):
    """The manifest breaks a rule; the text names the place."""


def check_manifest(manifest: Manifest) -> None:
    """Raises ManifestInvalid if the manifest breaks a rule."""
    _require(NAME.fullmatch(manifest.name), f"name {manifest.name[:80]!r} is no DNS label")
    version_holds = VERSION.fullmatch(manifest.version)
    _require(version_holds, f"version {manifest.version[:80]!r}: 1 to 64 of 0-9 A-Z a-z . + -")
    _check_chunk_bytes(manifest.chunk_bytes)
    _check_files(manifest)
    if manifest.kind == "model":
        _check_model(manifest)
    elif manifest.kind == "data":
        _check_data(manifest)
    else:
        raise ManifestInvalid(f"kind {manifest.kind[:80]!r} is neither model nor data")


def _require(holds: object, text: str) -> None:
    if not holds:
        raise ManifestInvalid(text)


def _check_chunk_bytes(size: int) -> None:
    in_range = limits.CHUNK_BYTES_MIN <= size <= limits.CHUNK_BYTES_MAX
    power_of_two = size & (size - 1) == 0
    _require(
        in_range and power_of_two,
        f"chunk_bytes {size} is no power of two from 64 KiB to 1 MiB",
    )


def _check_files(manifest: Manifest) -> None:
    count = len(manifest.files)
    _require(1 <= count <= limits.FILES_MAX, f"{count} files; 1 to {limits.FILES_MAX} are allowed")
    chunks = sum(len(file.chunks) for file in manifest.files)
    _require(chunks <= limits.CHUNKS_MAX, f"{chunks} chunks; at most {limits.CHUNKS_MAX}")
    for number, file in enumerate(manifest.files):
        _check_file(f"files[{number}]", file, manifest.chunk_bytes)


def _check_file(place: str, file: ManifestFile, chunk_bytes: int) -> None:
    _require(file.length > 0, f"{place} is empty: leave it out")
    expected = chunk_count(file.length, chunk_bytes)
    _require(
        len(file.chunks) == expected,
        f"{place} has {len(file.chunks)} chunks, but its length makes {expected}",
    )
    lengths = {len(digest) for digest in (file.digest, *file.chunks)}
    _require(lengths == {DIGEST_BYTES}, f"{place} has a digest that is not {DIGEST_BYTES} bytes")


def _check_model(manifest: Manifest) -> None:
    _check_model_roles(manifest)
    memory, load = manifest.limits.memory_bytes, manifest.limits.load_ms
    _require(0 < memory <= limits.MEMORY_BYTES_MAX, f"limits.memory_bytes {memory}")
    _require(0 < load <= limits.LOAD_MS_MAX, f"limits.load_ms {load}")
    _require(0 <= manifest.threshold <= 1, f"threshold {manifest.threshold} is not in 0 to 1")
    for name in ("tolerance_absolute", "tolerance_relative"):
        value = getattr(manifest, name)
        _require(math.isfinite(value) and value >= 0, f"{name} {value} is no distance")
    count = len(manifest.golden)
    _require(count <= limits.GOLDENS_MAX, f"{count} goldens; at most {limits.GOLDENS_MAX}")
    for number, golden in enumerate(manifest.golden):
        _check_golden(f"golden[{number}]", golden, manifest)


def _check_model_roles(manifest: Manifest) -> None:
    roles = Counter(file.role for file in manifest.files if file.role != GOLDEN_ROLE)
    starts = [role for role in COMPANION_ROLES if roles[role]]
    wanted = ", ".join(COMPANION_ROLES)
    _require(len(starts) == 1, f"a model has one file of the roles {wanted}")
    allowed = {starts[0]} | COMPANION_ROLES[starts[0]]
    for role in sorted(roles):
        _require(role in allowed, f"role {role[:80]!r} has no place beside {starts[0]}")
        _require(roles[role] == 1, f"two files of the role {role}")


def _check_data(manifest: Manifest) -> None:
    for number, file in enumerate(manifest.files):
        fits = file.role == DATA_ROLE
        _require(
            fits, f"files[{number}] has the role {file.role[:80]!r}; data has only {DATA_ROLE!r}"
        )
    _require(not manifest.golden, "data has no golden requests")


def _check_golden(place: str, golden: Golden, manifest: Manifest) -> None:
    for side, tensors in (("inputs", golden.inputs), ("outputs", golden.outputs)):
        count = len(tensors)
        in_range = 1 <= count <= limits.TENSORS_MAX
        _require(in_range, f"{place}.{side} has {count} tensors; 1 to {limits.TENSORS_MAX}")
        names = {tensor.name for tensor in tensors}
        _require(len(names) == count, f"{place}.{side} names a tensor twice")
        for number, tensor in enumerate(tensors):
            _check_tensor(f"{place}.{side}[{number}]", tensor, manifest)


def _check_tensor(place: str, tensor: GoldenTensor, manifest: Manifest) -> None:
    name_bytes = len(tensor.name.encode())
    _require(0 < name_bytes <= limits.TENSOR_NAME_BYTES_MAX, f"{place}: its name")
    size = DATATYPE_BYTES.get(tensor.datatype)
    if size is None:
        raise ManifestInvalid(f"{place}: datatype {tensor.datatype[:80]!r} has no fixed size")
    _require(len(tensor.shape) <= limits.DIMENSIONS_MAX, f"{place}: too many dimensions")
    _require(all(extent > 0 for extent in tensor.shape), f"{place}: its shape")
    _require(tensor.file < len(manifest.files), f"{place}: there is no file {tensor.file}")
    file = manifest.files[tensor.file]
    _require(file.role == GOLDEN_ROLE, f"{place}: file {tensor.file} is not of the role golden")
    needed = math.prod(tensor.shape) * size
    _require(
        file.length == needed,
        f"{place}: its shape needs {needed} bytes, file {tensor.file} has {file.length}",
    )
