"""Why things are as they are (`explain`), and how busy they are (`top`)."""

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from node.admin.client import Client
from node.admin.columns import COLUMNS
from node.admin.command import command
from node.admin.commands.look import EMPTY
from node.admin.documents import Document
from node.admin.failures import Failure
from node.admin.output import Column, console, print_documents, print_one, table, yes
from node.admin.output import time as clock_time
from node.admin.session import Session

EVENTS_READ = 1000
EVENTS_SHOWN = 15
TOP_EVERY_S = 1.0

STANDINGS = (
    Column("NODE", "node"),
    Column("RANK", "place", lambda place: str(place) if place else "-"),
    Column("RUNS", "runs"),
    Column("SERVES", "serves"),
    Column("SPARE", "spare", yes),
    Column("WHY", "why"),
)
TOP_NODES = tuple(
    column
    for column in COLUMNS["nodes"]
    if column.heading in ("NODE", "SITE", "STATE", "GATEWAY", "WAN", "REPLICAS", "APPLIED")
)


def register(app: typer.Typer) -> None:
    command(app)(explain)
    command(app)(top)


def explain(session: Session, workload: Annotated[str, typer.Argument()]) -> None:
    """Shows what was decided about a workload, from which facts, and by which events.

    Asked of a node: each decides for itself, and says what it knows.
    """
    with session.client() as client:
        found = client.get("explanations", workload)
        if not found:
            raise Failure(f"no workload {workload!r} is planned here; see `meshctl get resources`")
        events = client.get("events", limit=EVENTS_READ)
    document = found[0]
    document["events"] = [one for one in events if one.get("subject") == workload][-EVENTS_SHOWN:]
    print_one(document, session.options.output, _show)


def top(
    session: Session, once: Annotated[bool, typer.Option(help="Show it once.")] = False
) -> None:
    """Shows a site's nodes and services live: who serves what, how busy, what is wrong.

    Asked of a master: the whole fleet, as it was heard of last. Without a terminal: once.
    """
    screen = console()
    with session.client() as client, suppress(KeyboardInterrupt):
        if once or session.options.output or not screen.is_terminal:
            _top_once(session, client)
            return
        with Live(_top(client), console=screen, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(TOP_EVERY_S)
                live.update(_top_or_why_not(client), refresh=True)


def _top_once(session: Session, client: Client) -> None:
    if session.options.output:
        print_documents(client.get("loads"), COLUMNS["loads"], session.options.output, "")
    else:
        console().print(_top(client))


def _top_or_why_not(client: Client) -> Group:
    try:
        return _top(client)
    except Failure as failure:
        return Group(Text(f"{failure}\ntrying again; Ctrl-C ends"))


def _top(client: Client) -> Group:
    nodes, alarms = client.get("nodes"), client.get("alarms")
    parts: list[RenderableType] = [
        table(nodes, TOP_NODES) if nodes else Text(EMPTY["nodes"]),
        Text(),
        table(client.get("loads"), COLUMNS["loads"]),
    ]
    if alarms:
        parts += [Text(), table(alarms, COLUMNS["alarms"])]
    return Group(*parts)


def _show(document: Document) -> None:
    screen = console()
    head = f"{document['workload']}, a {document['kind']} of {document['site']}"
    screen.print(f"{head}, as {document['seen_by']} sees it in state {document['state']}\n")
    for heading, text in _sentences(document):
        screen.print(Text(f"{heading:<9}", style="bold") + Text(text, style="not bold"))
    screen.print()
    screen.print(table(document["nodes"], STANDINGS))
    if document["events"]:
        screen.print("\ndecided by these events, the latest last:")
        print_documents(document["events"], COLUMNS["events"], "", "")


def _sentences(document: Document) -> list[tuple[str, str]]:
    """What was decided, a line each, as far as the document says."""
    wanted, version = document["wanted"], document.get("version", {})
    if document["kind"] == "pipeline":
        found = [("wanted", f"one, where the source {wanted['source']!r} is")]
    else:
        found = [
            (
                "wanted",
                f"{wanted['replicas']} replicas; the plan allows {wanted['min']} to "
                f"{wanted['max']}, {wanted['kept_by']} keeps the count",
            ),
            ("version", _version(version)),
        ]
    if document.get("lease"):
        found.append(("lease", _lease(document["lease"])))
    found += [("changed", _changed(change)) for change in document.get("changes", ())]
    found += [(key, document[key]) for key in ("pending", "asleep") if document.get(key)]
    return found


def _lease(lease: Document) -> str:
    if not lease["holder"]:
        said = f"nobody is known to hold it: {lease.get('why_nobody', '')}"
    else:
        who = ", ".join(lease["acknowledged"]) or "nodes that its full register does not name"
        many = lease.get("acknowledgements", len(lease["acknowledged"]))
        count = f"{many} of {lease['roster']} of the roster"
        count += f" of state {lease['roster_state']}" if "roster_state" in lease else ""
        said = f"{lease['holder']} holds it, acknowledged by {who} ({count})"
        if lease["seconds_left"] >= 0:
            said += f", {lease['seconds_left']:.1f} s left unless it is renewed"
    for one in lease.get("earlier_rosters", ()):
        said += f"; a quorum of the {one['nodes']} nodes before state {one['until']} is needed too"
    return f"{said}; this node: {lease['here']}" if lease["here"] else said


def _changed(change: Document) -> str:
    what = f"{change['field']} = {change['value']}, by {change['operator']} at this site"
    return f"{what}, until {clock_time(change['until'])}: {change['reason']}"


def _version(version: Document) -> str:
    planned, here = version["planned"], version["here"]
    wanted = version.get("wanted", planned)  # a node of an older release does not say
    word = "planned" if wanted == planned else "wanted"
    text = here if here == wanted else f"{here} here; {word} is {wanted}"
    if wanted != planned:
        text += f", by a change at this site; planned is {planned}"
    refused = version["refused"]
    why = f"the site refuses it: {refused}" if refused else version["why"]
    return f"{text} ({why})" if why else text
