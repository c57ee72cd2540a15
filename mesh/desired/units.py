"""Sizes and durations as people write them: `64MiB`, `30s`.

A number without a unit is refused, and so is a unit that means two things to two people (`MB` is
10^6 to some and 2^20 to others). Whole numbers only, so that reading and writing are exact.
"""

import re

SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
DURATION_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DIGITS_MAX = 15
"""Digits of a number: 10^15 GiB still fits Python's and a database's integers many times over."""
ECHO_CHARACTERS_MAX = 40
"""Of a wrong value, this much is repeated in the message: a whole file may have been pasted."""

_NUMBER_AND_UNIT = re.compile(rf"([0-9]{{1,{DIGITS_MAX}}}) ?([A-Za-z]*)")
_SIZE_BY_LETTER = {"b": "B", "k": "KiB", "m": "MiB", "g": "GiB"}
_DURATION_BY_PREFIX = (("mi", "m"), ("m", "ms"), ("s", "s"), ("h", "h"), ("d", "d"))


class UnitRefused(ValueError):
    """What was written is no size or duration. `suggestion` says what to write instead."""

    def __init__(self, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def parse_size(text: object) -> int:
    """The bytes in `text`, such as `64MiB`. Raises UnitRefused."""
    number, unit = _split(text, "size", "64MiB", SIZE_UNITS)
    if unit not in SIZE_UNITS:
        meant = _SIZE_BY_LETTER.get(unit[0].lower())
        raise _unknown_unit("size", number, unit, meant, SIZE_UNITS)
    return number * SIZE_UNITS[unit]


def parse_duration(text: object) -> int:
    """The milliseconds in `text`, such as `30s`. Raises UnitRefused."""
    number, unit = _split(text, "duration", "30s", DURATION_UNITS)
    if unit not in DURATION_UNITS:
        found = (meant for prefix, meant in _DURATION_BY_PREFIX if unit.lower().startswith(prefix))
        raise _unknown_unit("duration", number, unit, next(found, None), DURATION_UNITS)
    return number * DURATION_UNITS[unit]


def format_size(size: int) -> str:
    """`size` bytes in the largest unit that states them exactly."""
    return _format(size, SIZE_UNITS)


def format_duration(duration_ms: int) -> str:
    """`duration_ms` milliseconds in the largest unit that states them exactly."""
    return _format(duration_ms, DURATION_UNITS)


def _format(value: int, units: dict[str, int]) -> str:
    fitting = (unit for unit in reversed(units) if value % units[unit] == 0)
    unit = next(fitting) if value else next(iter(units))
    return f"{value // units[unit]}{unit}"


def _split(text: object, what: str, example: str, units: dict[str, int]) -> tuple[int, str]:
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        raise UnitRefused(f"this is no {what}", f"write it like {example}")
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        shown = text[:ECHO_CHARACTERS_MAX]
        raise UnitRefused(f"{shown!r} is no {what}", f"write a whole number and a unit: {example}")
    if not match[2]:
        few, many = ("ms", "s") if units is DURATION_UNITS else ("KiB", "MiB")
        either = f"{match[1]}{few} or {match[1]}{many}"
        raise UnitRefused(f"{text} has no unit", f"did you mean {either}?")
    return int(match[1]), match[2]


def _unknown_unit(
    what: str, number: int, unit: str, meant: str | None, units: dict[str, int]
) -> UnitRefused:
    message = f"'{unit[:ECHO_CHARACTERS_MAX]}' is no unit of a {what}"
    if meant is None:
        return UnitRefused(message, f"use one of {', '.join(units)}")
    return UnitRefused(message, f"did you mean {number}{meant}?")
