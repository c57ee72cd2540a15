"""YAML as plain values that know the line and column they stand at.

The text is read event by event, so that limits hold before anything is built from it: size,
documents, depth. Aliases and tags are refused: no resource needs them, and ten lines of aliases can
stand for a billion values. A key twice in one mapping is refused too; YAML forbids it, and
whichever of the two were taken would be wrong for somebody. Plain scalars have the types of YAML
1.2's core schema: `no` is a word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from mesh.desired.problems import Problem, ResourcesRefused

TEXT_BYTES_MAX = 1024 * 1024
"""Of one input. Worst case about 20 s of one core and 100 MiB for a mebibyte of tiny values."""
DOCUMENTS_MAX = 1000
"""In one input: more than a large fleet has. At 1 MiB each would have a kibibyte."""
DEPTH_MAX = 16
"""Of nested values. The deepest resource has five; bounds the recursion below."""
KEY_SHOWN_MAX = 60
"""Characters of a key that are repeated in a message."""

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,18}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """One YAML document: its value, and the places of all values and keys in it by their path."""

    value: object = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where `path` is, or the nearest that contains it: a missing key is in its mapping."""
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def key_place(self, path: Path) -> Place:
        """Where the last key of `path` is written."""
        return self.keys.get(path) or self.place(path)


def read_documents(text: str) -> list[Document]:
    """The documents of `text` that are not empty. Raises ResourcesRefused."""
    if len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
        problem = f"the input is larger than {TEXT_BYTES_MAX} bytes"
        raise _refused(Place(1, 1), problem, "apply it in several parts")
    try:
        return _documents(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise _refused(place, f"this is no YAML: {error.problem}", "") from None
    except YAMLError as error:
        place = _place_of(text, getattr(error, "position", 0))
        raise _refused(place, "this is no YAML: a character that is not allowed", "") from None


def _documents(events: Iterator[Event]) -> list[Document]:
    documents: list[Document] = []
    for event in events:
        if not isinstance(event, DocumentStartEvent):
            continue
        if len(documents) == DOCUMENTS_MAX:
            problem = f"there are more than {DOCUMENTS_MAX} documents"
            raise _refused(_place(event), problem, "apply them in several parts")
        document = Document()
        document.value = _Builder(events, document).value(next(events), ())
        if document.value is not None:
            documents.append(document)
    return documents


class _Builder:
    """Builds one document's value from the events that follow."""

    def __init__(self, events: Iterator[Event], document: Document) -> None:
        self._events = events
        self._document = document

    def value(self, event: Event, path: Path) -> object:
        self._check(event, path)
        self._document.values[path] = _place(event)
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        return self._sequence(path)

    def _check(self, event: Event, path: Path) -> None:
        if isinstance(event, AliasEvent):
            advice = "write the value out"
            raise _refused(_place(event), "aliases (*name) are not supported", advice)
        if len(path) > DEPTH_MAX:
            raise _refused(_place(event), f"nested more than {DEPTH_MAX} deep", "")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(
                _place(event), f"tags ({str(tag)[:KEY_SHOWN_MAX]}) are not supported", ""
            )

    def _mapping(self, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            if key in mapping:
                message = f"the key {key[:KEY_SHOWN_MAX]!r} is here twice"
                raise _refused(_place(event), message, "remove one of them")
            self._document.keys[(*path, key)] = _place(event)
            mapping[key] = self.value(next(self._events), (*path, key))
        return mapping

    def _key(self, event: Event, path: Path) -> str:
        self._check(event, path)
        if not isinstance(event, ScalarEvent):
            raise _refused(_place(event), "a key must be a word", "")
        return str(event.value)

    def _sequence(self, path: Path) -> list[object]:
        sequence: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            sequence.append(self.value(event, (*path, len(sequence))))
        return sequence


def _scalar(event: ScalarEvent) -> object:
    text = str(event.value)
    plain = bool(event.implicit[0])
    if not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _place(event: Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _place_of(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _refused(place: Place, message: str, suggestion: str) -> ResourcesRefused:
    return ResourcesRefused([Problem(place.line, place.column, "", message, suggestion)])
