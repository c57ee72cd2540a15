"""Small models with manifests, made on the spot for the tests of worker and runtime."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openvino import opset13 as op

from mesh.signed import Signer
from protos.documents_pb2 import Golden, GoldenTensor, Manifest, ManifestFile
from protos.runtime_pb2 import ReplicaSpec

Floats = npt.NDArray[np.float32]
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

ONES: Floats = np.ones((1, 4), np.float32)


@dataclass(frozen=True)
class Built:
    """A model's files on disk and its signed manifest."""

    manifest: Path
    files: list[Path]
    spec: ReplicaSpec


@dataclass(frozen=True)
class Recipe:
    """What to write, and what the manifest says about it."""

    files: dict[str, bytes]
    inputs: dict[str, Floats] = field(default_factory=dict)
    outputs: dict[str, Floats] = field(default_factory=dict)
    load_ms: int = 30_000
    version: str = "1.0.0"


def build(folder: Path, recipe: Recipe) -> Built:
    """Writes the recipe's files and the manifest that promises exactly them."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(name="tiny", version=recipe.version, kind="model", chunk_bytes=65536)
    manifest.limits.load_ms, manifest.limits.memory_bytes = recipe.load_ms, 256 << 20
    manifest.tolerance_absolute, manifest.tolerance_relative = 1e-4, 1e-3
    manifest.threshold = 0.5
    golden = Golden()
    contents = [(role, data) for role, data in recipe.files.items()]
    for side, tensors in ((golden.inputs, recipe.inputs), (golden.outputs, recipe.outputs)):
        for name, values in tensors.items():
            side.append(_golden_tensor(name, values, len(contents)))
            contents.append(("golden", values.tobytes()))
    if recipe.inputs:
        manifest.golden.append(golden)
    paths = []
    for index, (role, data) in enumerate(contents):
        paths.append(folder / f"{index}-{sha256(data).hexdigest()[:8]}")
        paths[-1].write_bytes(data)
        manifest.files.append(
            ManifestFile(role=role, length=len(data), digest=sha256(data).digest())
        )
    path = folder / "manifest"
    path.write_bytes(SIGNER.sign("manifest", manifest.SerializeToString()))
    spec = ReplicaSpec(
        workload="faces",
        config=sha256(path.read_bytes()).hexdigest(),
        model="tiny",
        model_version=recipe.version,
        manifest=str(path),
        files=[str(p) for p in paths],
        cores=1,
        memory_bytes=256 << 20,
    )
    return Built(path, paths, spec)


def adder(folder: Path, amount: float = 1.0, *, dynamic: bool = False) -> Recipe:
    """y = x + amount, with golden outputs that say so."""
    shape = ov.PartialShape([-1, 4] if dynamic else [1, 4])
    x = op.parameter(shape, dtype=np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    y = op.add(x, op.constant(np.full((1, 4), amount, np.float32)))
    recipe = Recipe(save(folder, x, y), {"x": ONES}, {"y": ONES + np.float32(amount)})
    return recipe


def bomb(folder: Path, elements: int = 500_000_000) -> Recipe:
    """A few kilobytes that unfold into gigabytes as soon as they are compiled."""
    x = op.parameter([1], dtype=np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    huge = op.broadcast(op.constant(np.float32(1.5)), op.constant(np.array([elements], np.int64)))
    return Recipe(save(folder, x, op.add(huge, x)))


def late_bomb(folder: Path) -> Recipe:
    """Harmless until a request names how large its answer is to be."""
    x = op.parameter([1], dtype=np.int32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    return Recipe(save(folder, x, op.relu(op.broadcast(op.constant(np.float32(1)), x))))


def save(folder: Path, x: "ov.Node", y: "ov.Node") -> dict[str, bytes]:
    """The IR of the model from `x` to `y`, by role."""
    folder.mkdir(parents=True, exist_ok=True)
    y.output(0).get_tensor().set_names({"y"})
    path = folder / "saved.xml"
    ov.save_model(ov.Model([op.result(y)], [x], "tiny"), path, compress_to_fp16=False)
    return {"xml": path.read_bytes(), "bin": path.with_suffix(".bin").read_bytes()}


def wrong(recipe: Recipe) -> Recipe:
    """The same model, with golden outputs that it does not give."""
    outputs = {name: values + 5 for name, values in recipe.outputs.items()}
    return replace(recipe, outputs=outputs)


def _golden_tensor(name: str, values: Floats, file: int) -> GoldenTensor:
    return GoldenTensor(name=name, datatype="FP32", shape=values.shape, file=file)
