"""Rollouts: how far they are, and what became of earlier ones."""

from typing import Annotated

import typer

from node.admin.columns import COLUMNS
from node.admin.command import command
from node.admin.documents import Document
from node.admin.failures import Failure
from node.admin.output import print_documents
from node.admin.session import Session

EVENTS_READ = 10_000
"""Journal entries looked through, the latest; a daemon gives no more at once."""
WORKLOAD_EVENTS = ("workload.serving", "workload.refused", "service.scaled")
EMPTY = "no service runs: apply one with `meshctl apply -f FILE`"

Site = Annotated[str, typer.Option(help="Of this site only.", show_default=False)]


def register(app: typer.Typer) -> None:
    rollouts = typer.Typer(help="How new versions reach the nodes.", no_args_is_help=True)
    command(rollouts, "status")(rollout_status)
    command(rollouts, "history")(rollout_history)
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
    service: Annotated[str, typer.Argument(help="The service.")],
    site: Site = "",
    limit: Annotated[
        int, typer.Option(help="At most so many, the latest.", min=1, max=EVENTS_READ)
    ] = 100,
) -> None:
    """Shows what nodes decided about a service's versions, and why, oldest first."""
    with session.client() as client:
        found = client.get("events", "", site, EVENTS_READ)
    about = [one for one in found if one.get("subject") == service and _of_a_rollout(one)]
    empty = f"nothing is known of rollouts of {service!r} here; ask a master, or its site's nodes"
    print_documents(about[-limit:], COLUMNS["events"], session.options.output, empty)


def _of_a_rollout(event: Document) -> bool:
    name = str(event.get("event", ""))
    return name.startswith("rollout.") or name in WORKLOAD_EVENTS


def _unknown(service: str) -> Failure:
    return Failure(f"no service {service!r} runs; `meshctl get services` shows what there is")
