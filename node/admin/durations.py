"""Durations on the command line: written as in resources, 30s or 2h, and within bounds."""

from mesh.desired.units import UnitRefused, format_duration, parse_duration
from node.admin.failures import bad_input


def duration_ms(option: str, text: str, least_ms: int, most_ms: int) -> int:
    """The milliseconds that the value of an option says. Raises Failure (bad input)."""
    try:
        found_ms = parse_duration(text)
    except UnitRefused as refused:
        raise bad_input(f"{option}: {refused}; {refused.suggestion}") from None
    if not least_ms <= found_ms <= most_ms:
        bounds = f"{format_duration(least_ms)} to {format_duration(most_ms)}"
        raise bad_input(f"{option} {text!r}: give {bounds}")
    return found_ms
