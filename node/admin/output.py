"""How `meshctl` prints: tables for people, JSON and YAML for programs, errors on stderr.

Tables fit 80 to 100 columns on a terminal and are never cut in a pipe. A `Column` says how a
document's value is shown; `-o json` and `-o yaml` give the documents as they came.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from node.admin.documents import Document

FORMATS = ("table", "json", "yaml")

PIPE_COLUMNS = 240
"""Width without a terminal: nothing is wrapped before it."""

NOTHING = "-"
"""Shown where a document does not say."""

Show = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, where the value is in the document (`wan.up`), and how it is shown."""

    heading: str
    path: str
    show: Show = str


def console(stderr: bool = False) -> Console:
    """A console for stdout or stderr as they are now."""
    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, highlight=False)
    return made if made.is_terminal else Console(file=stream, highlight=False, width=PIPE_COLUMNS)


def note(text: str) -> None:
    """Something the user should know, beside the answer."""
    console(stderr=True).print(Text(plain(text), style="dim"))


def error(text: str) -> None:
    said = Text(plain(text), style="not bold")
    console(stderr=True).print(Text("error: ", style="bold red") + said)


def say(text: str) -> None:
    console().print(Text.from_markup(text), soft_wrap=True)


def print_documents(
    documents: Sequence[Document],
    columns: Sequence[Column],
    output: str,
    empty: str,
    headings: bool = True,
) -> None:
    """The documents in the format asked for; `empty` is said in the table's place on stderr."""
    if output == "json":
        sys.stdout.write(json.dumps(documents, indent=2, ensure_ascii=False) + "\n")
    elif output == "yaml":
        sys.stdout.write(to_yaml(documents))
    elif not documents:
        note(empty)
    else:
        console().print(table(documents, columns, headings))


def print_lines(documents: Sequence[Document], output: str) -> None:
    """For a watch: each document as one line of JSON, or as one document of a YAML stream."""
    for document in documents:
        if output == "json":
            sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("---\n" + to_yaml(document))
    sys.stdout.flush()


def print_one(document: Document, output: str, show: Callable[[Document], None]) -> None:
    """One document: as JSON or YAML, or as `show` prints it."""
    if output == "json":
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    elif output == "yaml":
        sys.stdout.write(to_yaml(document))
    else:
        show(document)


def to_yaml(value: object) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()


def table(documents: Sequence[Document], columns: Sequence[Column], headings: bool = True) -> Table:
    """As kubectl prints: headings in capitals, no lines, columns apart by spaces.

    A column that is empty in all documents is left out.
    """
    made = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        show_header=headings,
    )
    rows = [[cell(document, column) for column in columns] for document in documents]
    kept = [at for at in range(len(columns)) if any(row[at].plain != NOTHING for row in rows)]
    for at in kept:
        made.add_column(columns[at].heading, overflow="fold")
    for row in rows:
        made.add_row(*(row[at] for at in kept))
    return made


def cell(document: Document, column: Column) -> Text:
    """A value as text; "-" where the document does not say. Never markup: it came from outside."""
    value: Any = document
    for key in column.path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None or value == "":
        return Text(NOTHING, style="dim")
    try:
        text = column.show(value) or NOTHING
    except (TypeError, ValueError, OverflowError, OSError):
        text = str(value)
    return Text(plain(text), style=STYLES.get(text, ""))


def plain(text: str) -> str:
    """The text, without characters that would move a cursor or change a terminal: it came from
    outside. Lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


STYLES = {
    "live": "green",
    "serving": "green",
    "running": "green",
    "up": "green",
    "suspect": "yellow",
    "pending": "yellow",
    "warning": "yellow",
    "down": "red",
    "dead": "red",
    "revoked": "red",
    "failed": "red",
    "refused": "red",
    "quarantined": "red",
    "critical": "bold red",
}
"""Colour only repeats what the word says."""


def seconds(value: float) -> str:
    """A duration in the two largest units that fit: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min, 3 d 7 h."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    for size, unit, smaller, name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def size(value: int) -> str:
    """Bytes in the unit in which resources are written: 512 B, 3.4 KiB, 64 MiB."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.1f} {unit}" if amount % 1 and amount < 100 else f"{amount:.0f} {unit}"


def time(value: int) -> str:
    """A time of a document in the local zone, with its offset."""
    return _local(value).strftime("%Y-%m-%d %H:%M:%S %z")


TIMES = frozenset({"began", "ended", "expires", "heard", "made", "signed", "since", "started"})
TIMES |= {"time", "until"}
"""The keys of times in documents, and in the fields of events."""
IN_MS = re.compile("[0-9]{12,14}")
"""A time from 1973 to 5138. Anything else under such a key is a state's counter, or no time."""


def readable(value: Any, key: str = "") -> Any:
    """A document, or the part of one that is under `key`, with times as people read them."""
    if isinstance(value, dict):
        return {name: readable(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [readable(one, key) for one in value]
    is_time = key in TIMES and IN_MS.fullmatch(str(value))  # in the fields of events it is text
    return time(int(value)) if is_time else value


def fields(values: dict[str, str]) -> str:
    """The fields of an event."""
    return pairs(readable(values))


def clock(value: int) -> str:
    """The time of day in the local zone, to milliseconds; the day stands elsewhere."""
    return _local(value).strftime("%H:%M:%S.%f")[:-3]


def zone() -> str:
    return datetime.now().astimezone().strftime("%z")


def yes(value: bool) -> str:
    return "yes" if value else "no"


def up(value: bool) -> str:
    return "up" if value else "down"


def short(value: str) -> str:
    """The beginning of a digest."""
    return value[:12]


def joined(values: Sequence[str]) -> str:
    return ", ".join(values) or "-"


def pairs(values: dict[str, Any]) -> str:
    """By name: a map comes in another order each time."""
    return " ".join(f"{key}={value}" for key, value in sorted(values.items()))


def _local(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000).astimezone()
