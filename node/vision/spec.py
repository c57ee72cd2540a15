"""What one pipeline is told to do, and the check of it."""

import json
from dataclasses import dataclass
from typing import TypeVar

from node.vision.limits import EVERY_MS_MIN, SPEC_BYTES_MAX

Value = TypeVar("Value")


class BadSpec(ValueError):
    """The configuration line cannot be used; whoever wrote it must change it."""


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One pipeline, as the runtime states it."""

    workload: str
    source_url: str
    """A file, a device or a stream, from this node's own configuration (see source_url.py)."""
    service: str
    every_ms: int
    """From one frame to the next."""
    journal_on_change: bool
    journal_summary_every_ms: int
    """0: no summaries."""
    threshold: float
    """Of the scores; 0: the model's own."""
    inference_address: str
    """HOST:PORT of the node's own inference port, in clear."""
    deadline_ms: int = 0
    """Of CLOCK_BOOTTIME: the process ends itself then, unless it is renewed; 0: never."""


def read_spec(line: bytes) -> PipelineSpec:
    """Read the configuration line. Raises BadSpec. Unknown keys are a newer runtime's: ignored."""
    found = _object(line)
    spec = PipelineSpec(
        workload=_value(found, "workload", str),
        source_url=_value(found, "source_url", str),
        service=_value(found, "service", str),
        every_ms=_value(found, "every_ms", int),
        journal_on_change=_value(found, "journal_on_change", bool),
        journal_summary_every_ms=_value(found, "journal_summary_every_ms", int),
        threshold=_value(found, "threshold", float),
        inference_address=_value(found, "inference_address", str),
        deadline_ms=_value({"deadline_ms": 0, **found}, "deadline_ms", int),
    )
    if spec.every_ms < EVERY_MS_MIN or spec.journal_summary_every_ms < 0:
        raise BadSpec(
            f"every_ms must be at least {EVERY_MS_MIN}, and a summary's interval 0 or more"
        )
    return spec


def _object(line: bytes) -> dict[str, object]:
    if len(line) > SPEC_BYTES_MAX:
        raise BadSpec(f"the pipeline's spec is larger than {SPEC_BYTES_MAX} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadSpec(f"the pipeline's spec is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadSpec("the pipeline's spec is not an object")
    return found


def _value(found: dict[str, object], name: str, kind: type[Value]) -> Value:
    if name not in found:
        raise BadSpec(f"the pipeline's spec has no {name}")
    value = found[name]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:  # and not isinstance: True is no number of milliseconds
        raise BadSpec(f"the pipeline's spec has {name} = {value!r}, expected {kind.__name__}")
    return value
