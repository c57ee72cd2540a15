"""A model's bytes are what its signed manifest promises, or they are not loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from node.worker.artifact import read_artifact
from node.worker.errors import FailedError, RefusedError
from tests.node.worker.models import SIGNER, Built, Recipe, adder, build


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build(tmp_path / "built", adder(tmp_path / "saved"))


def read(built: Built) -> object:
    return read_artifact(built.spec.manifest, built.spec.files)


def test_what_was_promised_is_read(built: Built) -> None:
    artifact = read_artifact(built.spec.manifest, built.spec.files)
    assert artifact.format == {"xml", "bin"}
    assert artifact.of_role("xml") == built.files[0].read_bytes()
    assert artifact.of_role("onnx") is None


def cut(built: Built) -> None:
    built.files[0].write_bytes(built.files[0].read_bytes()[:-5])


def lengthen(built: Built) -> None:
    built.files[0].write_bytes(built.files[0].read_bytes() + b" ")


def alter(built: Built) -> None:
    data = built.files[1].read_bytes()
    built.files[1].write_bytes(bytes([data[0] ^ 1]) + data[1:])


def another_document(built: Built) -> None:
    built.manifest.write_bytes(SIGNER.sign("head", b""))


def noise(built: Built) -> None:
    built.manifest.write_bytes(b"\xff" * 100)


def endless(built: Built) -> None:
    built.manifest.write_bytes(bytes(300 << 10))


def one_file_less(built: Built) -> None:
    del built.spec.files[-1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (cut, "bytes instead of"),
        (lengthen, "more than"),
        (alter, "its digest differs"),
        (another_document, "is no manifest"),
        (noise, "no signed manifest"),
        (endless, "longer than"),
        (one_file_less, "the manifest names 4"),
    ],
    ids=[
        "truncated",
        "too long by one byte",
        "one bit flipped",
        "another signed document",
        "noise for a manifest",
        "an endless manifest",
        "a file too few",
    ],
)
def test_other_bytes_are_refused(built: Built, change: Callable[[Built], None], text: str) -> None:
    change(built)
    with pytest.raises(RefusedError, match=text):
        read(built)


@pytest.mark.parametrize("missing", [0, -1], ids=["the model", "a golden output"])
def test_a_missing_file_may_come_yet(built: Built, missing: int) -> None:
    built.files[missing].unlink()
    with pytest.raises(FailedError, match="cannot be read: No such file"):
        read(built)


def test_roles_that_make_no_model_are_refused(tmp_path: Path) -> None:
    made = build(tmp_path / "odd", Recipe({"pdiparams": b"x"}))
    with pytest.raises(RefusedError, match="make no model"):
        read(made)
