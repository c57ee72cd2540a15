"""Alarms as documents for people: the same at a node and at a master.

What a node says of itself is shown as its own word, bounded: of several that say the same, the
middle one by time is shown, so that one of three or more that lies changes nothing of it; texts are
cut, and no character of them moves a cursor.
"""

from collections.abc import Collection, Iterable
from typing import Any

from protos.documents_pb2 import AlarmState, StableRegister

Document = dict[str, Any]
TEXT_CHARACTERS_MAX = 500
"""Of a message; a register that says more was not made by this program."""
NAME_CHARACTERS_MAX = 128
"""Of a kind and of a subject: two names of 63 characters and what is between them."""
SEVERITIES = ("warning", "critical")
NOW, LAST_KNOWN = "now", "last known"


def merged_alarms(bodies: Iterable[StableRegister], now: Collection[str]) -> list[Document]:
    """The alarms of several nodes; the same condition seen by several is one alarm. `now`: the
    nodes that are heard of; what others said last is shown as that, unless these know better."""
    said: dict[tuple[str, str, str], list[Document]] = {}
    for body in bodies:
        for alarm in body.alarms:
            document = _document(body, alarm, NOW if body.node in now else LAST_KNOWN)
            key = (document["site"], document["kind"], document["subject"])
            said.setdefault(key, []).append(document)
    return [_middle(said[key]) for key in sorted(said)]


def _document(body: StableRegister, alarm: AlarmState, heard: str) -> Document:
    return {
        "site": body.site,
        "node": body.node,
        "kind": plain(alarm.kind, NAME_CHARACTERS_MAX),
        "subject": plain(alarm.subject, NAME_CHARACTERS_MAX),
        "severity": alarm.severity if alarm.severity in SEVERITIES else SEVERITIES[0],
        "since": alarm.since_unix_ms,
        "count": max(1, alarm.count),
        "heard": heard,
        "message": plain(alarm.message, TEXT_CHARACTERS_MAX),
    }


def _middle(said: list[Document]) -> Document:
    """Of those that are heard of, if any is, the lower median by time."""
    current = [one for one in said if one["heard"] == NOW] or said
    ordered = sorted(current, key=lambda one: (one["since"], one["node"]))
    return ordered[(len(ordered) - 1) // 2]


def count_now(alarms: Iterable[Document]) -> int:
    """How many of the alarms are of nodes that are heard of."""
    return sum(1 for alarm in alarms if alarm["heard"] == NOW)


def plain(text: str, most: int) -> str:
    """A text of somebody else: at most so many characters, each of them printable."""
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
