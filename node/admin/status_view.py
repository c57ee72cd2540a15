"""How `meshctl status` shows a daemon, and `meshctl outages` what happened in an outage."""

import time
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from node.admin.columns import COLUMNS
from node.admin.documents import Document
from node.admin.output import (
    Column,
    cell,
    clock,
    console,
    fields,
    joined,
    plain,
    seconds,
    size,
    table,
    up,
    zone,
)

REPLICA_COLUMNS = (
    Column("WORKLOAD", "workload"),
    Column("INDEX", "index"),
    Column("PHASE", "phase"),
    Column("MODEL", "model"),
    Column("VERSION", "version"),
    Column("PID", "pid"),
    Column("RESTARTS", "restarts"),
    Column("REASON", "reason"),
)

TIMELINE_COLUMNS = (
    Column("TIME", "time", clock),
    Column("NODE", "node"),
    Column("EVENT", "event"),
    Column("SUBJECT", "subject"),
    Column("FIELDS", "fields", fields),
)

TIMELINE_MAX = 40
"""Events of an outage in the table; `-o json` gives all."""


def show(status: Document, nodes: Sequence[Document]) -> None:
    """The daemon, its replicas and artifacts, and the nodes that it knows."""
    out = console()
    out.print(_title(status))
    out.print(_facts(status))
    sections = (
        ("replicas", status.get("replicas"), REPLICA_COLUMNS),
        ("pipelines", status.get("pipelines"), REPLICA_COLUMNS),
        ("artifacts", status.get("artifacts"), COLUMNS["artifacts"]),
        ("nodes", nodes, COLUMNS["nodes"]),
    )
    for name, rows, columns in sections:
        if rows:
            out.print()
            out.print(Text(name, style="bold cyan"))
            out.print(table(rows, columns))


def show_outage(outage: Document) -> None:
    """What the site did in an outage, oldest first."""
    events: list[Document] = outage.get("events") or []
    if not events:
        return
    out = console()
    out.print()
    title = f"{outage.get('site', '?')}: what happened (times of day, {zone()})"
    out.print(Text(title, style="bold cyan"))
    out.print(table(events[-TIMELINE_MAX:], TIMELINE_COLUMNS))
    if len(events) > TIMELINE_MAX:
        left_out = len(events) - TIMELINE_MAX
        out.print(Text(f"{left_out} earlier events: -o json shows them all", style="dim"))


def _title(status: Document) -> Text:
    title = Text(f"{status.get('role', 'daemon')} ")
    title.append(str(status.get("node", "?")), style="bold")
    for key in ("site", "mesh"):
        if status.get(key):
            title.append(f"  {key} {status[key]}")
    if "uptime_s" in status:
        title.append(f"  up {seconds(status['uptime_s'])}")
    for key in ("boot", "version"):
        if status.get(key):
            title.append(f"  {key} {status[key]}")
    return title


def _facts(status: Document) -> Table:
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    facts = (
        ("WAN", _wan(status.get("wan") or {})),
        ("STATE", _state(status.get("state") or {})),
        ("CORDON", Text(_cordon(status))),
        ("ASLEEP", Text(joined(status.get("asleep") or []))),
        ("PEERS", Text(joined([_peer(one) for one in status.get("peers") or []]))),
        ("JOURNAL", _journal(status.get("journal") or {})),
        ("TRAFFIC", _traffic(status.get("wan_bytes") or {})),
        ("MEMORY", _memory(status.get("memory") or {})),
        ("mDNS", Text(str(status.get("mdns") or ""))),
        ("ALARMS", _alarms(status.get("alarms") or 0)),
    )
    for name, text in facts:
        if text.plain:
            made.add_row(name, text)
    return made


def _wan(wan: dict[str, Any]) -> Text:
    if "up" not in wan:
        return Text("")
    text = cell(wan, Column("", "up", up))
    if "since" in wan:
        ago = max(0.0, time.time() - wan["since"] / 1000)
        text.append(f" since {clock(wan['since'])} ({seconds(ago)})", style="default")
    if wan.get("via_gateway"):
        text.append(f"  gateway {wan['via_gateway']}", style="default")
    if wan.get("why_not"):
        text.append(f"  {plain(str(wan['why_not']))}", style="default")
    return text


def _state(state: dict[str, Any]) -> Text:
    if not state:
        return Text("")
    text = Text(f"seen {state.get('seen', '?')}  applied {state.get('applied', '?')}")
    text.append(f"  trust {state.get('trust_generation', '?')}")
    synced = bool(state.get("synced"))
    text.append("  synced" if synced else "  not synced", style="green" if synced else "yellow")
    return text


def _cordon(status: Document) -> str:
    held = status.get("cordon")
    return f"{held}: `meshctl uncordon {status.get('node', '?')}` ends it" if held else ""


def _peer(peer: dict[str, Any]) -> str:
    way = "WAN" if peer.get("wan") else "LAN"
    return f"{peer.get('id', '?')} ({way})"


def _journal(journal: dict[str, Any]) -> Text:
    parts = []
    if "records" in journal:
        parts.append(f"{journal['records']} records of this boot")
    if "unacknowledged" in journal:
        parts.append(f"{journal['unacknowledged']} here not yet at a master")
    if journal.get("dropped"):
        parts.append(f"{journal['dropped']} data entries dropped")
    if journal.get("copy_holder"):
        parts.append(f"copies at {journal['copy_holder']}")
    return Text("  ".join(parts))


def _traffic(traffic: dict[str, Any]) -> Text:
    names = (("sent", "sent"), ("received", "received"), ("chunks_received", "of it chunks"))
    parts = [f"{name} {size(traffic[key])}" for key, name in names if key in traffic]
    return Text("  ".join(["over the WAN", *parts]) if parts else "")


def _memory(memory: dict[str, Any]) -> Text:
    names = ("agent", "runtime", "workers")
    parts = [
        f"{name} {size(memory[f'{name}_bytes'])}" for name in names if f"{name}_bytes" in memory
    ]
    return Text("  ".join(parts))


def _alarms(count: int) -> Text:
    if not count:
        return Text("none", style="green")
    return Text(f"{count}: `meshctl alarms` shows them", style="red")
