"""Rollouts: how far they are, what became of earlier ones, holding them, and going back."""

from typing import Annotated

import typer

from node.admin.columns import COLUMNS
from node.admin.command import command
from node.admin.documents import Document
from node.admin.failures import Failure
from node.admin.output import Column, note, print_documents, print_one, say, time
from node.admin.session import Session
from protos.admin_pb2 import SteerReply

EVENTS_READ = 10_000
"""Journal entries looked through, the latest; a daemon gives no more at once."""
WORKLOAD_EVENTS = ("workload.serving", "workload.refused", "workload.restart", "service.scaled")
EMPTY = "no service runs: apply one with `meshctl apply -f FILE`"

Site = Annotated[str, typer.Option(help="Of this site only.", show_default=False)]
Where = Annotated[
    str, typer.Option("--site", help="At this site; every site if not given.", show_default=False)
]
Service = Annotated[str, typer.Argument(help="The service.")]
Reason = Annotated[str, typer.Option(help="Written into the master's events.")]

VERSIONS = (
    Column("STATE", "state"),
    Column("VERSION", "version"),
    Column("SINCE", "time", time),
    Column("UNDONE", "undone", lambda undone: "by undo" if undone else ""),
    Column("REASON", "reason"),
)


def register(app: typer.Typer) -> None:
    rollouts = typer.Typer(help="How new versions reach the nodes.", no_args_is_help=True)
    command(rollouts, "status")(rollout_status)
    command(rollouts, "history")(rollout_history)
    command(rollouts, "undo")(rollout_undo)
    command(rollouts, "pause")(rollout_pause)
    command(rollouts, "resume")(rollout_resume)
    app.add_typer(rollouts, name="rollout")


def rollout_status(
    session: Session,
    service: Annotated[str, typer.Argument(help="One service.", show_default=False)] = "",
    site: Site = "",
) -> None:
    """Shows which version each node runs, which it wants, and what holds it up."""
    with session.client() as client:
        found = client.get("rollouts", service, site)
    if service and not found:
        raise _unknown(service)
    print_documents(found, COLUMNS["rollouts"], session.options.output, EMPTY)


def rollout_history(
    session: Session,
    service: Service,
    site: Site = "",
    limit: Annotated[
        int, typer.Option(help="At most so many, the latest.", min=1, max=EVENTS_READ)
    ] = 100,
) -> None:
    """Shows which versions a service was told to run (at a master), and what nodes made of them."""
    with session.client() as client:
        found = client.get("events", "", site, EVENTS_READ)
        known = client.get("services", service)
    versions = [one for document in known for one in document.get("versions", ())]
    if versions and not session.options.output:
        print_documents(versions, VERSIONS, "", "")
        say("")
    about = [one for one in found if one.get("subject") == service and _of_a_rollout(one)]
    empty = f"nothing is known of rollouts of {service!r} here; ask a master, or its site's nodes"
    if not (known or about):
        raise Failure(empty)
    print_documents(about[-limit:], COLUMNS["events"], session.options.output, empty)


def rollout_undo(session: Session, service: Service, reason: Reason = "") -> None:
    """Goes back to the version before, at all sites, node by node; undone again, it returns."""
    with session.master() as client:
        reply = client.rollout(service, "", "undo", reason)
        paused = [
            one for found in client.get("services", service) for one in found.get("paused", ())
        ]
    pinned = f"states {reply.version} again; it is pinned wherever it runs, so nothing moves"
    print_steered(session, service, reply, f"goes back to {reply.version}", pinned)
    if paused:
        resume = f"meshctl rollout resume {service}"
        note(f"paused in {', '.join(paused)}: nothing begins there before `{resume}`")


def rollout_pause(
    session: Session, service: Service, site: Where = "", reason: Reason = ""
) -> None:
    """Holds a rollout: no further node begins; those that have begun end their turn."""
    with session.master() as client:
        reply = client.rollout(service, site, "pause", reason)
    print_steered(session, service, reply, "pauses", "was paused already")


def rollout_resume(
    session: Session, service: Service, site: Where = "", reason: Reason = ""
) -> None:
    """Lets a rollout go on."""
    with session.master() as client:
        reply = client.rollout(service, site, "resume", reason)
    print_steered(session, service, reply, "goes on", "was not paused")


def print_steered(
    session: Session, service: str, reply: SteerReply, done: str, already: str
) -> None:
    """What became of it: `done` where something changed, `already` where it was so."""
    sites = list(reply.sites)
    document = {
        "service": service,
        "sites": sites,
        "version": reply.version,
        "counter": reply.counter,
    }
    text = (
        f"{service} {done} in {', '.join(sites)}, as state {reply.counter} arrives there"
        if sites
        else f"{service} {already} (state {reply.counter})"
    )
    print_one(document, session.options.output, lambda _: say(text))


def _of_a_rollout(event: Document) -> bool:
    name = str(event.get("event", ""))
    return name.startswith("rollout.") or name in WORKLOAD_EVENTS


def _unknown(service: str) -> Failure:
    return Failure(f"no service {service!r} runs; `meshctl get services` shows what there is")
