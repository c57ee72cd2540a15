"""Opening manifests: what is right opens, and each kind of bad input is refused by name."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.blobs import limits
from mesh.blobs.manifest import FileHasher, ManifestRefused, open_manifest, seal
from mesh.hashing import sha256
from mesh.signed import Signer
from protos.documents_pb2 import Golden, GoldenTensor, Manifest, ManifestFile
from tests.mesh.blobs.making import CHUNK, RELEASE

KEYS = [RELEASE.public_key]


def file_of(role: str, length: int) -> ManifestFile:
    hasher = FileHasher(role, CHUNK)
    hasher.feed(b"x" * length)
    return hasher.file()


def tensor(name: str, file: int, shape: list[int], datatype: str = "FP32") -> GoldenTensor:
    return GoldenTensor(name=name, datatype=datatype, shape=shape, file=file)


def model() -> Manifest:
    manifest = Manifest(
        name="face-detector",
        version="1.2.0",
        kind="model",
        chunk_bytes=CHUNK,
        threshold=0.5,
        tolerance_absolute=1e-3,
        tolerance_relative=1e-2,
    )
    manifest.limits.memory_bytes = 1 << 28
    manifest.limits.load_ms = 10_000
    manifest.files.extend([file_of("xml", 100), file_of("bin", 3 * CHUNK + 1)])
    manifest.files.extend([file_of("golden", 24), file_of("golden", 8)])
    golden = Golden(inputs=[tensor("image", 2, [1, 2, 3])], outputs=[tensor("faces", 3, [2])])
    manifest.golden.append(golden)
    return manifest


def data() -> Manifest:
    manifest = Manifest(name="d", version="1", kind="data", chunk_bytes=CHUNK)
    manifest.files.append(file_of("data", 10))
    return manifest


def signed(manifest: Manifest) -> bytes:
    """An envelope whose signature holds, whatever is in it."""
    return RELEASE.sign("manifest", manifest.SerializeToString(deterministic=True))


def reason(envelope: bytes, keys: list[bytes] = KEYS, expected: bytes | None = None) -> str:
    with pytest.raises(ManifestRefused) as refused:
        open_manifest(envelope, keys, expected)
    return refused.value.reason


def test_a_model_opens_with_all_its_chunks() -> None:
    envelope = seal(model(), RELEASE)
    artifact = open_manifest(envelope, KEYS, sha256(envelope))
    assert artifact.digest == sha256(envelope)
    assert artifact.envelope == envelope
    assert artifact.manifest == model()
    assert artifact.total_bytes == 100 + 3 * CHUNK + 1 + 24 + 8
    assert [(c.index, c.file, c.offset, c.length) for c in artifact.chunks] == [
        (0, 0, 0, 100),
        (1, 1, 0, CHUNK),
        (2, 1, CHUNK, CHUNK),
        (3, 1, 2 * CHUNK, CHUNK),
        (4, 1, 3 * CHUNK, 1),
        (5, 2, 0, 24),
        (6, 3, 0, 8),
    ]
    assert artifact.chunks[4].digest == sha256(b"x")


def test_sealing_is_deterministic() -> None:
    assert seal(model(), RELEASE) == seal(model(), RELEASE)


def test_sealing_refuses_what_nobody_would_accept() -> None:
    with pytest.raises(ManifestRefused, match="name 'Face'"):
        seal(Manifest(name="Face"), RELEASE)


def test_the_largest_number_of_chunks_fits_the_envelope() -> None:
    manifest = data()
    manifest.files[0].length = limits.CHUNKS_MAX * CHUNK
    manifest.files[0].ClearField("chunks")
    manifest.files[0].chunks.extend([bytes(32)] * limits.CHUNKS_MAX)
    assert len(open_manifest(seal(manifest, RELEASE), KEYS).chunks) == limits.CHUNKS_MAX


def test_bytes_that_were_not_signed_so_are_refused() -> None:
    envelope = signed(data())
    at = envelope.index(b"data")
    changed = envelope[:at] + b"dato" + envelope[at + 4 :]
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    assert reason(changed) == "bad signature"
    assert reason(envelope, [stranger.public_key]) == "unknown key"
    assert reason(RELEASE.sign("plan", data().SerializeToString())) == "wrong type"
    assert reason(b"\xff\xff") == "malformed"
    assert reason(RELEASE.sign("manifest", b"\xff\xff")) == "malformed"
    assert reason(envelope, expected=bytes(32)) == "other digest"
    assert reason(bytes(limits.ENVELOPE_BYTES_MAX + 1)) == "too large"


def test_an_envelope_cut_at_any_length_is_refused() -> None:
    envelope = signed(data())
    for length in range(len(envelope)):
        with pytest.raises(ManifestRefused):
            open_manifest(envelope[:length], KEYS)


Break = Callable[[Manifest], object]


def _two_of(role: str) -> Break:
    return lambda m: m.files.append(file_of(role, 5))


def _repeat_input(manifest: Manifest) -> None:
    manifest.golden[0].inputs.append(manifest.golden[0].inputs[0])


MODEL_BREAKS: list[tuple[str, Break, str]] = [
    ("a name in capitals", lambda m: setattr(m, "name", "Face"), "name 'Face'"),
    ("an empty name", lambda m: setattr(m, "name", ""), "name ''"),
    ("a name that ends in a hyphen", lambda m: setattr(m, "name", "a-"), "name 'a-'"),
    ("a name with a newline", lambda m: setattr(m, "name", "a\n"), "name"),
    ("a name that is a path", lambda m: setattr(m, "name", "../etc"), "name"),
    ("a name of 64 letters", lambda m: setattr(m, "name", "a" * 64), "name"),
    ("a version with a slash", lambda m: setattr(m, "version", "1/2"), "version '1/2'"),
    ("no version", lambda m: setattr(m, "version", ""), "version ''"),
    ("a version of 65 letters", lambda m: setattr(m, "version", "1" * 65), "version"),
    ("an unknown kind", lambda m: setattr(m, "kind", "script"), "kind 'script'"),
    ("chunks of no size", lambda m: setattr(m, "chunk_bytes", 0), "chunk_bytes 0"),
    ("chunks of 32 KiB", lambda m: setattr(m, "chunk_bytes", 1 << 15), "chunk_bytes 32768"),
    ("chunks of 2 MiB", lambda m: setattr(m, "chunk_bytes", 1 << 21), "chunk_bytes 2097152"),
    ("chunks of an odd size", lambda m: setattr(m, "chunk_bytes", 100_000), "power of two"),
    ("no files", lambda m: m.ClearField("files"), "0 files"),
    ("65 files", lambda m: m.files.extend([file_of("golden", 1)] * 61), "65 files"),
    (
        "an empty file",
        lambda m: m.files.append(ManifestFile(role="golden")),
        r"files\[4\] is empty",
    ),
    ("a chunk too few", lambda m: m.files[1].chunks.pop(), r"files\[1\] has 3 chunks"),
    ("a chunk too many", lambda m: m.files[0].chunks.append(bytes(32)), r"files\[0\] has 2 chunks"),
    ("a length of 2**63", lambda m: setattr(m.files[0], "length", 1 << 63), "its length makes"),
    ("a short digest", lambda m: setattr(m.files[0], "digest", bytes(31)), "is not 32 bytes"),
    ("a long chunk digest", lambda m: m.files[1].chunks.__setitem__(0, bytes(33)), "is not 32"),
    ("too many chunks", lambda m: m.files[1].chunks.extend([b""] * 5120), "chunks; at most 5120"),
    ("no start", lambda m: m.files.__delitem__(0), "a model has one file of the roles"),
    ("two starts", _two_of("onnx"), "a model has one file of the roles"),
    ("two starts of one role", _two_of("xml"), "two files of the role xml"),
    ("two companions", _two_of("bin"), "two files of the role bin"),
    ("a foreign companion", _two_of("pdiparams"), "role 'pdiparams' has no place beside xml"),
    ("an unknown role", _two_of("sh"), "role 'sh' has no place"),
    ("no memory limit", lambda m: setattr(m.limits, "memory_bytes", 0), "memory_bytes 0"),
    ("memory of 2 TiB", lambda m: setattr(m.limits, "memory_bytes", 1 << 41), "memory_bytes"),
    ("no time to load", lambda m: setattr(m.limits, "load_ms", 0), "load_ms 0"),
    ("a day to load", lambda m: setattr(m.limits, "load_ms", 86_400_000), "load_ms"),
    ("a threshold above 1", lambda m: setattr(m, "threshold", 1.5), "threshold 1.5"),
    ("no number for a threshold", lambda m: setattr(m, "threshold", float("nan")), "threshold nan"),
    ("a negative tolerance", lambda m: setattr(m, "tolerance_absolute", -1), "tolerance_absolute"),
    (
        "a tolerance without end",
        lambda m: setattr(m, "tolerance_relative", float("inf")),
        "tolerance_relative inf",
    ),
    ("17 goldens", lambda m: m.golden.extend([Golden()] * 16), "17 goldens"),
    ("a golden without inputs", lambda m: m.golden[0].ClearField("inputs"), "inputs has 0 tensors"),
    ("a golden without outputs", lambda m: m.golden[0].ClearField("outputs"), "outputs has 0"),
    ("a tensor named twice", _repeat_input, "names a tensor twice"),
    (
        "a tensor without a name",
        lambda m: setattr(m.golden[0].inputs[0], "name", ""),
        r"golden\[0\].inputs\[0\]: its name",
    ),
    ("a long tensor name", lambda m: setattr(m.golden[0].inputs[0], "name", "x" * 257), "its name"),
    ("strings", lambda m: setattr(m.golden[0].inputs[0], "datatype", "BYTES"), "'BYTES' has no"),
    ("9 dimensions", lambda m: m.golden[0].inputs[0].shape.extend([1] * 6), "too many dimensions"),
    ("a dimension of 0", lambda m: m.golden[0].inputs[0].shape.append(0), "its shape"),
    ("a negative dimension", lambda m: m.golden[0].inputs[0].shape.append(-1), "its shape"),
    ("no such file", lambda m: setattr(m.golden[0].inputs[0], "file", 4), "there is no file 4"),
    ("not a golden file", lambda m: setattr(m.golden[0].inputs[0], "file", 1), "not of the role"),
    (
        "a shape that does not fit",
        lambda m: m.golden[0].inputs[0].shape.append(2),
        "needs 48 bytes",
    ),
    (
        "a shape beyond any memory",
        lambda m: m.golden[0].inputs[0].shape.extend([2**62] * 5),
        "its shape needs",
    ),
]


@pytest.mark.parametrize(
    ("change", "text"),
    [pytest.param(change, text, id=name) for name, change, text in MODEL_BREAKS],
)
def test_a_model_that_breaks_a_rule_is_refused(change: Break, text: str) -> None:
    manifest = model()
    change(manifest)
    with pytest.raises(ManifestRefused, match=text) as refused:
        open_manifest(signed(manifest), KEYS)
    assert refused.value.reason == "invalid"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(_two_of("xml"), "has the role 'xml'", id="a model's file"),
        pytest.param(_two_of("golden"), "has the role 'golden'", id="a golden file"),
        pytest.param(lambda m: m.golden.add(), "data has no golden", id="a golden request"),
    ],
)
def test_data_has_only_data(change: Break, text: str) -> None:
    manifest = data()
    change(manifest)
    with pytest.raises(ManifestRefused, match=text):
        open_manifest(signed(manifest), KEYS)


@pytest.mark.parametrize("role", ["onnx", "tflite", "pdmodel"])
def test_each_format_opens(role: str) -> None:
    manifest = model()
    manifest.files[0].role = role
    del manifest.files[1]
    for number in (0, 1):
        side = manifest.golden[0].inputs if number == 0 else manifest.golden[0].outputs
        side[0].file -= 1
    assert open_manifest(signed(manifest), KEYS).manifest.files[0].role == role
