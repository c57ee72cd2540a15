"""Pushing models: what is found in a folder, what is refused, what travels, what goes on."""

import json
import math
import struct
from pathlib import Path

import pytest

from mesh.signed import Signer
from node.admin import push
from node.admin.failures import Failure
from node.admin.model_folder import find
from tests.node.admin.support import World, master_at, serving

NAMED = b'<port names="x"/><port names="y"/>'
IR = b"<?xml version='1.0'?>\n<net name='m' version='11'>" + NAMED + b" " * 3000 + b"</net>\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as the example's: a model, its threshold, golden requests, other files."""
    folder = tmp_path / "face-detector"
    (folder / "golden").mkdir(parents=True)
    (folder / "m.xml").write_bytes(IR)
    (folder / "m.bin").write_bytes(bytes(range(256)) * 2000)
    (folder / "m.json").write_text('{"threshold": 0.9}')
    (folder / "README.md").write_text("read me")
    (folder / "golden" / "in.bin").write_bytes(b"\x01" * 4)
    (folder / "golden" / "out.bin").write_bytes(b"\x02" * 8)
    (folder / "golden" / "golden.json").write_text(json.dumps([golden(), golden()]))
    return folder


def golden(**changes: object) -> dict[str, object]:
    """A golden case, with something else about its input."""
    given = {"name": "x", "datatype": "UINT8", "shape": [1, 4], "file": "in.bin"} | changes
    return {
        "inputs": [given],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "file": "out.bin"}],
        "tolerance": {"absolute": 0.1, "relative": 0.01},
    }


LABEL = ("--name", "face-detector", "--version", "1.2.0")


async def test_a_model_is_signed_sent_and_released(tmp_path, model):
    world = World.make(tmp_path)
    backend = world.backend()
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        result = await world.run("model", "push", str(model), *LABEL)
        assert result.exit_code == 0, result.output
        assert "2 golden requests" in result.stdout
        assert "left out: README.md" in result.stderr
        again = await world.run("model", "push", str(model), *LABEL, "-o", "json")
    assert json.loads(again.stdout)["sent_bytes"] == 0
    (artifact,) = backend.artifacts.values()
    assert backend.released == [artifact.digest] * 2
    manifest = artifact.manifest
    assert [one.role for one in manifest.files] == ["xml", "bin", "golden", "golden"]
    assert manifest.threshold == pytest.approx(0.9)
    assert manifest.golden[1].outputs[0].file == 3
    sent = b"".join(backend.chunks[artifact.digest, chunk.index] for chunk in artifact.chunks)
    files = ("m.xml", "m.bin", "golden/in.bin", "golden/out.bin")
    assert sent == b"".join((model / name).read_bytes() for name in files)


async def test_a_push_that_broke_off_sends_only_what_is_missing(tmp_path):
    world = World.make(tmp_path)
    backend = world.backend()
    data = tmp_path / "map.dat"
    data.write_bytes(bytes(3 * 1024 * 1024 + 5))
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        arguments = ("model", "push", str(data), "--name", "map", "--version", "1", "-o", "json")
        await world.run(*arguments)
        kept = next(iter(backend.chunks))
        for name in [name for name in backend.chunks if name != kept]:
            del backend.chunks[name]
        again = json.loads((await world.run(*arguments)).stdout)
    assert again["bytes"] - again["sent_bytes"] == len(backend.chunks[kept])


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        pytest.param({"m.bin": None}, "m.bin is missing", id="a companion is missing"),
        pytest.param({"m.xml": None}, "holds no model", id="no model"),
        pytest.param({"m.xml": b""}, "m.xml is empty", id="an empty model"),
        pytest.param({"m.bin": b""}, "m.bin is empty", id="empty weights"),
        pytest.param({"m.xml": b"<html></html>"}, "no OpenVINO IR", id="other xml"),
        pytest.param({"m.xml": IR[:-20]}, "is cut off", id="a truncated model"),
        pytest.param({"b.onnx": b"\x08x"}, "several models", id="two models"),
        pytest.param({"m.json": b"{"}, "m.json", id="a threshold that is no JSON"),
        pytest.param({"m.json": b'{"threshold": 2}'}, "from 0 to 1", id="a bad threshold"),
        pytest.param({"golden/golden.json": b"[]"}, "no list of cases", id="no golden case"),
        pytest.param({"golden/golden.json": b'[{"inputs": []}]'}, "lacks", id="half a case"),
        pytest.param({"golden/in.bin": None}, "not beside it", id="a golden tensor is missing"),
        pytest.param({"golden/in.bin": b"\x01"}, "its shape needs 4", id="a short golden tensor"),
        pytest.param({"golden/in.bin": b""}, "in.bin is empty", id="an empty golden tensor"),
        pytest.param(
            {"golden/out.bin": struct.pack("<ff", 1, math.nan)},
            "golden.json: case 0, output 'y': value 1 is nan",
            id="a golden output that is not a number",
        ),
        pytest.param(
            {"golden/out.bin": struct.pack("<ff", -math.inf, 1)}, "is -inf", id="an infinite one"
        ),
        pytest.param(
            {"m.xml": IR.replace(b'names="y"', b'names="z"')},
            "golden.json: case 0, outputs: m.xml has no tensor 'y'",
            id="a golden output that the model lacks",
        ),
        pytest.param(
            {"m.xml": IR.replace(b'names="x"', b'names="z"')},
            "inputs: m.xml has no tensor 'x'",
            id="a golden input that the model lacks",
        ),
        pytest.param(
            {"golden/golden.json": json.dumps([golden(shape=[-1, -4])]).encode()},
            "golden[0].inputs[0]: its shape",
            id="a negative shape",
        ),
        pytest.param(
            {"golden/golden.json": json.dumps([golden(datatype="STRING")]).encode()},
            "datatype 'STRING' has no fixed size",
            id="a datatype that is none",
        ),
        pytest.param(
            {"golden/golden.json": json.dumps([golden(file="../m.bin")]).encode()},
            "'../m.bin', which is not beside it",
            id="a file elsewhere",
        ),
    ],
)
async def test_what_cannot_be_a_good_model_is_refused_before_the_master_hears_of_it(
    tmp_path, model, spoil, text
):
    world = World.make(tmp_path)
    backend = world.backend()
    for name, data in spoil.items():
        (model / name).unlink(missing_ok=True)
        if data is not None:
            (model / name).write_bytes(data)
    async with serving(backend, world.master.tls) as address:
        world.know(master_at(address))
        result = await world.run("model", "push", str(model), *LABEL)
    assert (result.exit_code, text in result.stderr) == (2, True), result.output
    assert backend.artifacts == {}


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        pytest.param("m.onnx", b"no", "no ONNX model", id="onnx"),
        pytest.param("m.tflite", b"0000xxxx", "no TFLite model", id="tflite"),
        pytest.param("m.pdmodel", b"no", "no Paddle model", id="paddle"),
    ],
)
def test_other_formats_are_known_by_their_first_bytes(tmp_path, name, data, text):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Failure, match=text):
        find(tmp_path / name)


def test_other_formats_that_are_good(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07")
    (tmp_path / "m.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3")
    (tmp_path / "m.pdmodel").write_bytes(b"\x0a\x01")
    (tmp_path / "m.pdiparams").write_bytes(b"weights")
    roles = [
        [file.role for file in find(tmp_path / name).files]
        for name in ("m.onnx", "m.tflite", "m.pdmodel")
    ]
    assert roles == [["onnx"], ["tflite"], ["pdmodel", "pdiparams"]]


async def test_a_model_that_changes_after_its_manifest_was_made_is_not_released(tmp_path, model):
    world = World.make(tmp_path)
    source = find(model)
    label = push.Label("m", "1", 1024, 1000)
    signer: Signer = world.operator.release_signer
    artifact = push.build(source, label, signer, lambda _: None)
    (model / "m.bin").write_bytes(b"other")
    with pytest.raises(Failure, match=r"m\.bin changed after its manifest was made"):
        list(push.parts(source, artifact, range(len(artifact.chunks)), lambda _: None))


async def test_a_bad_size_names_the_unit_that_was_meant(tmp_path, model):
    world = World.make(tmp_path)
    result = await world.run("model", "push", str(model), *LABEL, "--memory", "64MB")
    assert (result.exit_code, "64MiB" in result.stderr) == (2, True)
