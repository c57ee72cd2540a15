"""Checks of single values in branches. Each raises BranchRefused, which names the place.

No string from a branch ever reaches a shell, a path or a loader; they select from what the node
knows already. All the same each has an alphabet and a length here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from mesh.heads.identity import IdentityRefused, check_name
from mesh.heads.limits import (
    BLOB_MAX_BYTES,
    DIGEST_BYTES,
    LABEL_MAX,
    LABELS_MAX,
    VERSION_MAX,
)
from mesh.heads.tree import BranchRefused

_VERSION = re.compile(rf"[0-9A-Za-z.+-]{{1,{VERSION_MAX}}}")
_LABEL = re.compile(rf"[-._/A-Za-z0-9]{{0,{LABEL_MAX}}}")
_DEVICE = re.compile(r"([A-Z][A-Z0-9_.]{0,31})?")

M = TypeVar("M", bound=Message)


def parse(kind: type[M], data: bytes, place: str) -> M:
    """The message in `data`, its size checked first."""
    if len(data) > BLOB_MAX_BYTES:
        raise refused(place, f"has {len(data)} bytes; {BLOB_MAX_BYTES} are allowed")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise refused(place, f"is no {kind.DESCRIPTOR.name}") from None


def refused(place: str, detail: str) -> BranchRefused:
    """The error for what stands at `place` in a signed branch."""
    return BranchRefused(
        f"{place} {detail}. The authority signed it so; the last good state stays in force: "
        "correct the resource at the master and apply it again"
    )


def name(place: str, value: str) -> None:
    """A DNS label."""
    try:
        check_name("the", value)
    except IdentityRefused as error:
        raise refused(place, f"is wrong: {error}") from None


def text(place: str, value: str, most: int) -> None:
    """What only people read: bounded, and nothing that could steer a terminal."""
    between(f"the length of {place}", len(value), 0, most)
    if not value.isprintable():
        raise refused(place, "has characters that cannot be printed")


def version(place: str, value: str) -> None:
    """A model's version."""
    if not _VERSION.fullmatch(value):
        raise refused(place, f"is {value[:VERSION_MAX]!r}, which is no version")


def device(place: str, value: str) -> None:
    """An OpenVINO device's name; empty for the default."""
    if not _DEVICE.fullmatch(value):
        raise refused(place, f"is {value[:LABEL_MAX]!r}, which is no device")


def labels(place: str, values: Mapping[str, str]) -> None:
    """Labels: keys and values of a few harmless characters."""
    between(place + ".size", len(values), 0, LABELS_MAX)
    for word in [*values, *values.values()]:
        if not _LABEL.fullmatch(word):
            raise refused(place, f"has {word[:LABEL_MAX]!r}, which is no label")
    if "" in values:
        raise refused(place, "has a label without a key")


def digest(place: str, value: bytes) -> None:
    """A SHA-256, or a key of as many bytes."""
    if len(value) != DIGEST_BYTES:
        raise refused(place, f"has {len(value)} bytes instead of {DIGEST_BYTES}")


def between(place: str, value: int, least: int, most: int) -> None:
    """A number from `least` to `most`, both included."""
    if not least <= value <= most:
        raise refused(place, f"is {value}, not from {least} to {most}")


def rising(place: str, keys: Sequence[tuple[str | bytes, ...]]) -> None:
    """Sorted, and none twice."""
    if not all(one < other for one, other in pairwise(keys)):
        raise refused(place, "is not sorted, or has something twice")


def unique(place: str, keys: Iterable[object]) -> None:
    """None twice, in whatever order."""
    listed = list(keys)
    if len(set(listed)) != len(listed):
        raise refused(place, "has something twice")
