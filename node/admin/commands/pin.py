"""Pinning: a site keeps a version of a service, whatever is applied, until it is unpinned."""

from typing import Annotated

import typer

from node.admin.command import command
from node.admin.commands.rollout import Reason, Service, Where, print_steered
from node.admin.session import Session


def register(app: typer.Typer) -> None:
    command(app)(pin)
    command(app)(unpin)


def pin(
    session: Session,
    service: Service,
    version: Annotated[str, typer.Argument(help="Of the service's model: one that was pushed.")],
    site: Where = "",
    reason: Reason = "",
) -> None:
    """Keeps a version of a service, whatever is applied, until `meshctl unpin`."""
    with session.master() as client:
        reply = client.pin(service, site, version, reason)
    print_steered(session, service, reply, f"stays at {reply.version}", "was pinned so already")


def unpin(session: Session, service: Service, site: Where = "", reason: Reason = "") -> None:
    """Lets a service follow what is applied again."""
    with session.master() as client:
        reply = client.pin(service, site, "", reason)
    print_steered(session, service, reply, f"follows {reply.version} again", "was not pinned")
