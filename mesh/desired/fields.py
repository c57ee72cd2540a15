"""The types of the resources' fields: names, labels, sizes, durations, references.

Every string from outside has an alphabet and a length. None of them ever reaches a shell, a path or
a loader; they select from what the mesh already knows.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mesh.desired.units import (
    DURATION_UNITS,
    SIZE_UNITS,
    UnitRefused,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

LABELS_MAX = 32
"""Of one resource or selector: 4 KiB at most."""
SITES_MAX = 1000
"""Names in one list of sites. Where there are more, labels say it better."""
ECHO_MAX = 80
"""Characters of a wrong value that are repeated in a message."""
DAY_MS = 86_400_000


class Section(BaseModel):
    """A part of a resource: unknown keys are refused, nothing is converted, nothing changes."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, allow_inf_nan=False
    )


def refusal(text: str, suggestion: str = "") -> PydanticCustomError:
    """An error of a field, with what to write instead."""
    return PydanticCustomError("refused", "{text}", {"text": text, "suggestion": suggestion})


@dataclass(frozen=True, slots=True)
class Matching:
    """A string that matches `pattern` whole; `rule` says the pattern in words."""

    what: str
    pattern: str
    rule: str

    def check(self, value: object) -> str:
        """`value`, if it is such a string."""
        if not isinstance(value, str):
            raise self._not_text(value)
        if re.fullmatch(self.pattern, value) is None:
            raise refusal(f"{value[:ECHO_MAX]!r} is no {self.what}", self.rule)
        return value

    def _not_text(self, value: object) -> PydanticCustomError:
        quoted = f'write it in quotes: "{str(value).lower()}"'
        scalar = isinstance(value, bool | int | float)
        return refusal(f"a {self.what} is text, this is not", quoted if scalar else "")

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$", "description": self.rule}


@dataclass(frozen=True, slots=True)
class Measured:
    """An integer that is written with a unit, from `minimum` to `maximum`."""

    parse: Callable[[object], int]
    write: Callable[[int], str]
    units: tuple[str, ...]
    minimum: int
    maximum: int

    def check(self, value: object) -> int:
        """The number that `value` writes."""
        try:
            number = self.parse(value)
        except UnitRefused as refused:
            raise refusal(str(refused), refused.suggestion) from None
        if not self.minimum <= number <= self.maximum:
            rule = f"write one from {self.write(self.minimum)} to {self.write(self.maximum)}"
            raise refusal(f"{self.write(number)} is out of range", rule)
        return number

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.no_info_plain_validator_function(self.check, serialization=written)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        pattern = f"^[0-9]+ ?({'|'.join(self.units)})$"
        return {"type": "string", "pattern": pattern, "examples": [self.write(self.maximum)]}


def duration(minimum_ms: int, maximum_ms: int) -> Measured:
    """A duration in milliseconds, written like `30s`."""
    return Measured(parse_duration, format_duration, tuple(DURATION_UNITS), minimum_ms, maximum_ms)


def size(minimum_bytes: int, maximum_bytes: int) -> Measured:
    """A size in bytes, written like `64MiB`."""
    return Measured(parse_size, format_size, tuple(SIZE_UNITS), minimum_bytes, maximum_bytes)


def number(value: object) -> object:
    """Lets whole numbers stand where fractions may: YAML reads `1` as an integer."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# A DNS label: names become parts of host names in certificates.
_NAME_RULE = "use a-z, 0-9 and -, at most 63 characters, no - at either end"
_LABEL_RULE = "use letters, digits, - . _ (and / in keys), at most 63 characters"

Name = Annotated[str, Matching("name", "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", _NAME_RULE)]
Version = Annotated[
    str,
    Matching(
        "version", "[0-9A-Za-z.+-]{1,64}", "use letters, digits, . + -, at most 64 characters"
    ),
]
ModelReference = Annotated[
    str,
    Matching(
        "model reference",
        "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?@[0-9A-Za-z.+-]{1,64}",
        "write NAME@VERSION, like face-detector@1.2.0",
    ),
]
Device = Annotated[
    str, Matching("device", r"(CPU|GPU|NPU)(\.[0-9]{1,2})?", "use CPU, GPU or NPU, or GPU.1")
]
LabelKey = Annotated[
    str, Matching("label", "[A-Za-z0-9]([-._/A-Za-z0-9]{0,61}[A-Za-z0-9])?", _LABEL_RULE)
]
LabelValue = Annotated[
    str,
    Matching("label's value", "([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?", _LABEL_RULE),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=LABELS_MAX)]
