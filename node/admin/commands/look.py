"""Looking: get, describe, status, events, alarms, outages. All work against any daemon."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from node.admin import status_view
from node.admin.columns import ALIASES, COLUMNS, RESOURCE_KINDS
from node.admin.command import command
from node.admin.documents import Document
from node.admin.failures import UNREACHABLE, Failure, bad_input
from node.admin.output import (
    Column,
    console,
    error,
    print_documents,
    print_lines,
    print_one,
    readable,
    to_yaml,
)
from node.admin.session import Session

ALARMS_SHOWN_MAX = 10_000
"""Of one answer: a site of 256 nodes with as many as their registers hold."""
RETRY_S = 2.0
"""Between two attempts of a watch whose daemon went away."""

EMPTY = {
    "alarms": "no alarms",
    "outages": "no outages: every site has reached a master all the time",
    "workloads": "nothing runs: apply a Service with `meshctl apply -f FILE`",
    "artifacts": "no artifacts: push one with `meshctl model push PATH --name N --version V`",
    "nodes": "no nodes: make a token with `meshctl token create --site S`, then on the machine "
    "run `meshd node join`",
}


def complete_kind(incomplete: str) -> list[str]:
    return [kind for kind in COLUMNS if kind.startswith(incomplete)]


Kind = Annotated[
    str, typer.Argument(help=f"One of {', '.join(COLUMNS)}.", autocompletion=complete_kind)
]
Name = Annotated[str, typer.Argument(help="One of them; all if not given.", show_default=False)]
Site = Annotated[str, typer.Option(help="Of this site only.", show_default=False)]
Node = Annotated[str, typer.Option(help="Of this node only.", show_default=False)]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes.")]
Limit = Annotated[int, typer.Option(help="At most so many, the latest.", min=1, max=10_000)]


def checked_kind(kind: str) -> str:
    """The kind that is meant. Raises Failure if there is none like it."""
    wanted = kind.lower()
    wanted = ALIASES.get(wanted, wanted)
    if wanted not in COLUMNS:
        raise bad_input(f"no kind {kind!r}; kinds are {', '.join(COLUMNS)}")
    return wanted


def register(app: typer.Typer) -> None:
    command(app)(get)
    command(app)(describe)
    command(app)(status)
    command(app)(events)
    command(app)(alarms)
    command(app)(outages)


def get(
    session: Session,
    kind: Kind,
    name: Name = "",
    site: Site = "",
    limit: Limit = 1000,
    watch: Watch = False,
) -> None:
    """Shows what there is of a kind: nodes, workloads, services, events, ..."""
    wanted = checked_kind(kind)
    _show(session, wanted, name, site, limit, watch)


def events(
    session: Session,
    node: Node = "",
    site: Site = "",
    limit: Limit = 50,
    watch: Watch = False,
) -> None:
    """Shows what happened and why, oldest first."""
    _show(session, "events", node, site, limit, watch)


def alarms(
    session: Session,
    site: Site = "",
    kind: Annotated[str, typer.Option(help="Of this kind only.", show_default=False)] = "",
    node: Annotated[
        str, typer.Option(help="That this node has, or that are about it.", show_default=False)
    ] = "",
) -> None:
    """Shows what a person should know of now, and what to do about it."""
    with session.client() as client:
        found = client.get("alarms", kind, site, ALARMS_SHOWN_MAX)
    about = [one for one in found if not node or node in (one.get("node"), one.get("subject"))]
    empty = _nothing("alarms", ("of the kind", kind), ("of", node), ("at the site", site))
    print_documents(about, COLUMNS["alarms"], session.options.output, empty)


def status(session: Session, watch: Watch = False) -> None:
    """Shows how the daemon that is asked is doing, and the nodes that it knows."""
    output = session.options.output

    def show(document: Document) -> None:
        with session.client() as client:
            nodes = client.get("nodes")
        status_view.show(document, nodes)

    if watch:
        _watch(session, "status", "", "", 1, lambda found: _shown_one(found, output, show))
        return
    with session.client() as client:
        print_one(client.get("status")[0], output, show)


def outages(session: Session, site: Site = "", limit: Limit = 20) -> None:
    """Shows when which site reached no master, and what it did meanwhile."""
    if session.options.output in ("json", "yaml"):
        _show(session, "outages", "", site, limit, False)
        return
    with session.client() as client:
        found = client.get("outages", site=site, limit=limit)
    print_documents(found, COLUMNS["outages"], "", EMPTY["outages"])
    for outage in found:
        status_view.show_outage(outage)


def describe(session: Session, kind: Kind, name: Annotated[str, typer.Argument()]) -> None:
    """Shows all that is known of one thing, and what last happened to it."""
    wanted = checked_kind(kind)
    with session.client() as client:
        found = client.get(wanted, name)
        if not found:
            raise Failure(f"no {wanted} {name!r}; `meshctl get {wanted}` shows what there is")
        if session.options.output:
            print_documents(found, COLUMNS[wanted], session.options.output, "")
            return
        sys.stdout.write("\n".join(to_yaml(readable(document)) for document in found))
        if wanted in RESOURCE_KINDS or wanted in ("nodes", "workloads"):
            _describe_events(client.get("events", limit=1000), name)


def _describe_events(events_found: list[Document], name: str) -> None:
    about = [one for one in events_found if name in (one.get("subject"), one.get("node"))][-20:]
    if about:
        sys.stdout.write("\nlatest events:\n")
        print_documents(about, COLUMNS["events"], "", "")


def _show(session: Session, kind: str, name: str, site: str, limit: int, watch: bool) -> None:
    output, columns = session.options.output, COLUMNS[kind]
    empty = _nothing(kind, ("of", name), ("at the site", site))
    if not watch:
        with session.client() as client:
            found = client.get(kind, name, site, limit)
        if name and not found and kind not in ("events", "alarms"):
            raise Failure(f"no {kind} {name!r}; `meshctl get {kind}` shows what there is")
        print_documents(found, columns, output, empty)
        return
    _watch(session, kind, name, site, limit, _changes_shown(columns, output))


def _nothing(kind: str, *filters: tuple[str, str]) -> str:
    """What is said where nothing is shown: a filter may be misspelt."""
    said = [f"{what} {value!r}" for what, value in filters if value]
    return f"no {kind} {' '.join(said)}" if said else EMPTY.get(kind, f"no {kind}")


def _changes_shown(columns: tuple[Column, ...], output: str) -> Callable[[list[Document]], None]:
    """Shows each change of a watch: the header stands once, documents follow."""
    first = True

    def show(found: list[Document]) -> None:
        nonlocal first
        if output:
            print_lines(found, output)
        else:
            print_documents(found, columns, output, "nothing yet", headings=first)
        first = first and not found

    return show


def _shown_one(found: list[Document], output: str, show: Callable[[Document], None]) -> None:
    for document in found:
        if output:
            print_lines([document], output)
        else:
            console().rule(style="dim")
            show(document)


def _watch(
    session: Session,
    kind: str,
    name: str,
    site: str,
    limit: int,
    show: Callable[[list[Document]], None],
) -> None:
    """Until Ctrl-C. A daemon that goes away is waited for, and said so."""
    with session.client() as client, suppress(KeyboardInterrupt):
        while True:
            try:
                for found in client.watch(kind, name, site, limit):
                    show(found)
            except Failure as failure:
                if failure.exit_code != UNREACHABLE:
                    raise
                error(f"{failure}\ntrying again every {RETRY_S:.0f} s; Ctrl-C ends")
            time.sleep(RETRY_S)
