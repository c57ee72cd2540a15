"""From YAML text to resources: all of them, or every reason why not.

A document is read (`located`), its kind is found, and pydantic checks the rest. Each of pydantic's
errors becomes a problem with the line and column of the key or value that it is about, and a
suggestion where there is a likely one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from mesh.desired.fields import Section
from mesh.desired.located import Document, Path, Place, read_documents
from mesh.desired.problems import Problem, ResourcesRefused
from mesh.desired.resources import API_VERSION, KINDS, Resource

PROBLEMS_MAX = 100
"""Shown of one input: more than a person reads at once; what is wrong everywhere is wrong alike."""
CONTAINER_KINDS = frozenset(
    "Deployment Pod Container VM VirtualMachine VirtualMachineInstance StatefulSet DaemonSet "
    "ReplicaSet Job CronJob".casefold().split()
)
"""What runs containers or virtual machines elsewhere, and is refused by name."""

_SIMPLE_TEXTS = {
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "bool_type": "true or false is needed",
    "list_type": "a list is needed",
    "dict_type": "keys and values are needed",
    "model_type": "keys and values are needed",
    "model_attributes_type": "keys and values are needed",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least {} is needed"),
    "less_than_equal": ("le", "at most {} is allowed"),
    "too_short": ("min_length", "at least {} is needed"),
    "too_long": ("max_length", "at most {} are allowed"),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A resource, and the document that it was written in."""

    resource: Resource
    document: Document

    def place(self, path: Path) -> Place:
        """Where in the input `path` is written, or what should contain it."""
        return self.document.place(path)


def parse(text: str) -> list[Parsed]:
    """The resources in `text`, in its order. Raises ResourcesRefused with all problems."""
    documents = read_documents(text)
    problems: list[Problem] = []
    parsed: list[Parsed] = []
    for document in documents:
        try:
            parsed.append(Parsed(_resource(document), document))
        except ResourcesRefused as refused:
            problems.extend(refused.problems)
    problems.extend(_duplicates(parsed))
    if not documents:
        problems.append(Problem(1, 1, "", "there is no resource in the input"))
    if problems:
        raise ResourcesRefused(problems[:PROBLEMS_MAX])
    return parsed


def from_json(data: bytes) -> Resource:
    """A resource as `to_json` wrote it. Raises ResourcesRefused if the bytes are none."""
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise ResourcesRefused([Problem(0, 0, "", str(error))]) from None


def to_json(resource: Resource) -> bytes:
    """The resource as written, defaults filled in; the same resource makes the same bytes."""
    return resource.model_dump_json(by_alias=True, exclude_none=True).encode()


_ADAPTER: TypeAdapter[Resource] = TypeAdapter(Resource)


def _resource(document: Document) -> Resource:
    value = document.value
    if not isinstance(value, dict):
        raise _one(document, (), "a resource is a mapping", "begin with apiVersion: mesh/v1")
    model = KINDS[_kind(document, value)]
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ResourcesRefused([_problem(document, model, one) for one in error.errors()]) from None


def _kind(document: Document, value: dict[str, Any]) -> str:
    kind = value.get("kind")
    if not isinstance(kind, str):
        raise _one(document, ("kind",), "missing 'kind'", f"one of {', '.join(KINDS)}")
    if kind.casefold() in CONTAINER_KINDS:
        raise _one(document, ("kind",), _no_containers(kind), "the kinds are " + ", ".join(KINDS))
    if kind not in KINDS:
        message = f"unknown kind {kind[:60]!r}"
        raise _one(document, ("kind",), message, _near(kind, KINDS))
    if value.get("apiVersion") != API_VERSION:
        what = "unknown" if "apiVersion" in value else "missing"
        message = f"{what} apiVersion"
        raise _one(document, ("apiVersion",), message, f"write apiVersion: {API_VERSION}")
    return kind


def _no_containers(kind: str) -> str:
    return f"kind {kind!r}: containers and VMs are not supported yet"


def _one(document: Document, path: Path, message: str, suggestion: str) -> ResourcesRefused:
    place = document.place(path)
    problem = Problem(place.line, place.column, _dotted(path), message, suggestion)
    return ResourcesRefused([problem])


def _duplicates(parsed: Iterable[Parsed]) -> list[Problem]:
    first: dict[tuple[str, str], Place] = {}
    problems = []
    for one in parsed:
        key = (one.resource.kind, one.resource.metadata.name)
        place = one.place(("metadata", "name"))
        before = first.setdefault(key, place)
        if before is not place:
            message = f"{key[0]} {key[1]!r} is here twice, first in line {before.line}"
            suggestion = "remove one of them"
            problems.append(Problem(place.line, place.column, "metadata.name", message, suggestion))
    return problems


def _problem(document: Document, model: type[Section], error: Any) -> Problem:
    """The problem for one of pydantic's errors about `document`."""
    written, holder = _walk(document, model, error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    about_key = kind == "extra_forbidden" or error["loc"][-1] == "[key]"
    place = document.key_place(written) if about_key else document.place(written)
    suggestion = context.get("suggestion", "")
    if kind == "extra_forbidden":
        message = f"unknown key {str(written[-1])[:60]!r}"
        suggestion = _near(str(written[-1]), _keys(holder))
    elif kind == "missing":
        message = f"missing {written[-1]!r}"
    elif kind == "literal_error":
        message = f"{str(error['input'])[:60]!r} is not known here"
        suggestion = f"use {context['expected']}"
    elif kind in _BOUNDS:
        bound, text = _BOUNDS[kind]
        message = text.format(context[bound])
    else:
        message = context.get("text") or _SIMPLE_TEXTS.get(kind, error["msg"])
    return Problem(place.line, place.column, _dotted(written), message, suggestion)


def _walk(
    document: Document, model: type[Section], location: Sequence[str | int]
) -> tuple[Path, type[Section]]:
    """The path in the document that pydantic's `location` means, and the section it is in.

    A location also names the branch that was taken of a union, or `[key]` for a mapping's key;
    neither is written in the document.
    """
    path: Path = ()
    holder = model
    inner: type[Section] = model
    last = len(location) - 1
    for index, step in enumerate(location):
        missing_key = index == last and step in _keys(inner)
        if (*path, step) in document.values or missing_key:
            path = (*path, step)
            holder, inner = inner, _section(inner, step)
    return path, holder


def _keys(model: type[Section]) -> list[str]:
    return [str(field.alias) for field in model.model_fields.values()]


def _section(model: type[Section], key: str | int) -> type[Section]:
    """The section that the field `key` of `model` holds, or `model` where it holds none."""
    fields: dict[str | int, FieldInfo] = {
        str(field.alias): field for field in model.model_fields.values()
    }
    found = _sections(fields[key].annotation) if key in fields else []
    return found[0] if found else model


def _sections(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]


def _near(word: str, known: Iterable[str]) -> str:
    """A suggestion: the known word that `word` is nearly, or all of them."""
    folded = {one.casefold(): one for one in known}
    close = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return "use " + ", ".join(folded.values())


def _dotted(path: Path) -> str:
    return ".".join(str(step) for step in path)
