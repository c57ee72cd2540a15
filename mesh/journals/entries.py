"""Entries of a journal: what their strings and numbers may be."""

from collections.abc import Mapping

from mesh.journals import limits
from protos.documents_pb2 import JournalEntry


def make_entry(
    event: str,
    subject: str,
    cause: str,
    fields: Mapping[str, str],
    *,
    unix_ms: int,
    monotonic_ms: int,
) -> JournalEntry:
    """An entry within the limits: strings that are too long are cut, surplus fields left out.

    A journal must take what happened, so one long reason never costs the record of it.
    """
    kept = sorted(fields)[: limits.FIELDS_MAX]
    return JournalEntry(
        unix_ms=min(max(unix_ms, 0), limits.NUMBER_MAX),
        monotonic_ms=min(max(monotonic_ms, 0), limits.NUMBER_MAX),
        event=_cut(event, limits.EVENT_CHARACTERS_MAX),
        subject=_cut(subject, limits.SUBJECT_CHARACTERS_MAX),
        cause=_cut(cause, limits.CAUSE_CHARACTERS_MAX),
        fields={
            _cut(name, limits.FIELD_NAME_CHARACTERS_MAX): _cut(
                fields[name], limits.FIELD_VALUE_CHARACTERS_MAX
            )
            for name in kept
        },
    )


def entry_fault(entry: JournalEntry) -> str | None:
    """What is wrong with an entry from outside, or None."""
    if max(entry.unix_ms, entry.monotonic_ms) > limits.NUMBER_MAX:
        return "a time out of range"
    if not 1 <= len(entry.event) <= limits.EVENT_CHARACTERS_MAX:
        return f"an event's name of {len(entry.event)} characters"
    if len(entry.subject) > limits.SUBJECT_CHARACTERS_MAX:
        return f"a subject of {len(entry.subject)} characters"
    if len(entry.cause) > limits.CAUSE_CHARACTERS_MAX:
        return f"a cause of {len(entry.cause)} characters"
    if len(entry.fields) > limits.FIELDS_MAX:
        return f"{len(entry.fields)} fields"
    for name, value in entry.fields.items():
        if len(name) > limits.FIELD_NAME_CHARACTERS_MAX:
            return f"a field's name of {len(name)} characters"
        if len(value) > limits.FIELD_VALUE_CHARACTERS_MAX:
            return f"a field's value of {len(value)} characters"
    return None


def _cut(text: str, characters_max: int) -> str:
    """`text` as valid UTF-8 of at most `characters_max` characters."""
    return text[:characters_max].encode("utf-8", "replace").decode("utf-8")
