"""Changing: apply, delete, token create, restart, node revoke."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mesh.desired.problems import ResourcesRefused
from node.admin.columns import ALIASES, RESOURCE_KINDS
from node.admin.command import command
from node.admin.commands.look import complete_kind
from node.admin.durations import duration_ms
from node.admin.failures import bad_input
from node.admin.limits import TOKEN_VALID_S_MAX, YAML_BYTES_MAX
from node.admin.output import (
    Column,
    note,
    print_documents,
    print_one,
    say,
    time,
)
from node.admin.session import Session
from protos.admin_pb2 import ResourceChange

CHANGES = (Column("KIND", "kind"), Column("NAME", "name"), Column("CHANGE", "change"))

TOKEN_VALID = "10m"
"""Of a token if the operator says nothing: ten minutes, to walk to the machine."""


def register(app: typer.Typer) -> None:
    command(app)(apply)
    command(app)(delete)
    command(app)(restart)
    tokens = typer.Typer(help="Join tokens.", no_args_is_help=True)
    command(tokens, "create")(create_token)
    app.add_typer(tokens, name="token")
    nodes = typer.Typer(help="Nodes as members of the mesh.", no_args_is_help=True)
    command(nodes)(revoke)
    app.add_typer(nodes, name="node")


def apply(
    session: Session,
    file: Annotated[
        str, typer.Option("--filename", "-f", metavar="FILE", help="YAML; - reads from stdin.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, change nothing.")
    ] = False,
) -> None:
    """Makes resources as the file says: all of its documents or, if one is wrong, none."""
    from mesh.desired.parse import parse  # pydantic takes 0.1 s to import

    source, data = _read(file)
    try:
        parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise bad_input(f"{source}: byte {error.start} is no UTF-8; nothing was applied") from None
    except ResourcesRefused as refused:
        lines = [problem.text(source) for problem in refused.problems]
        raise bad_input("\n".join([*lines, "nothing was applied"])) from None
    with session.master() as client:
        reply = client.apply(data, source, dry_run)
    _print_changes(session, reply.changes, reply.counter)
    for warning in reply.warnings:
        note(f"warning: {warning}")
    if dry_run:
        note("dry run: nothing was changed")


def delete(
    session: Session,
    kind: Annotated[
        str, typer.Argument(help="Model, Service, Pipeline or Site.", autocompletion=complete_kind)
    ],
    name: Annotated[str, typer.Argument()],
) -> None:
    """Deletes a resource; what runs for it is drained and stopped."""
    wanted = RESOURCE_KINDS.get(ALIASES.get(kind.lower(), kind.lower()))
    if wanted is None:
        kinds = ", ".join(RESOURCE_KINDS.values())
        raise bad_input(f"{kind} cannot be deleted; what was applied can: {kinds}")
    with session.master() as client:
        reply = client.delete(wanted, name)
    _print_changes(session, reply.changes, reply.counter)


def create_token(
    session: Session,
    site: Annotated[str, typer.Option(help="The site that the new node is to be in.")],
    valid: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it can be used: 30m, 2h, 7d.")
    ] = TOKEN_VALID,
) -> None:
    """Makes a token with which one machine can join the mesh, once."""
    valid_s = duration_ms("--valid", valid, 1000, TOKEN_VALID_S_MAX * 1000) // 1000
    with session.master() as client:
        reply = client.create_token(site, valid_s)
    document = {"token": reply.token, "site": site, "expires": reply.expires_unix_ms}
    if session.options.output:
        print_one(document, session.options.output, lambda _: None)
        return
    sys.stdout.write(reply.token + "\n")
    note(f"for one node of the site {site}, until {time(reply.expires_unix_ms)}")
    note("on the machine: meshd node join --master HOST:7401 --token TOKEN --data DIR")


def restart(
    session: Session,
    workload: Annotated[str, typer.Argument(help="A service or a pipeline.")],
    site: Annotated[
        str, typer.Option(help="At this site; every site if not given.", show_default=False)
    ] = "",
    reason: Annotated[str, typer.Option(help="Written into the journal.")] = "",
) -> None:
    """Restarts a workload, one replica after another: at a master everywhere, at a node (--address)
    there."""
    with session.master() as client:
        reply = client.restart(workload, site, reason)
        where = f"on {client.identity.name}" if client.identity.role == "node" else ""
    document = {"workload": workload, "replicas": reply.replicas, "counter": reply.counter}
    if not where:
        text = f"{workload}: restarts as state {reply.counter} arrives at its sites"
    elif reply.replicas:
        text = f"{workload}: {reply.replicas} restarted {where}"
    else:
        text = f"{workload}: none runs {where} now; it is quarantined there no more"
    print_one(document, session.options.output, lambda _: say(text))


def revoke(
    session: Session,
    node: Annotated[str, typer.Argument(metavar="NODE")],
    reason: Annotated[str, typer.Option(help="Why; every peer that refuses it will say so.")],
) -> None:
    """Shuts a node out of the mesh for good: every peer refuses its key from then on."""
    with session.master() as client:
        reply = client.revoke(node, reason)
    document = {"node": node, "reason": reply.already or reason, "counter": reply.counter}
    text = f"{node} is revoked from state {reply.counter} on; to let it in again, it must join anew"
    if reply.already:
        text = f"{node} was revoked already, and stays so: {reply.already} (state {reply.counter})"
    print_one(document, session.options.output, lambda _: say(text))


def _read(file: str) -> tuple[str, bytes]:
    """The file's name for messages, and its bytes. Raises Failure."""
    try:
        if file == "-":
            source, data = "stdin", sys.stdin.buffer.read(YAML_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                source, data = Path(file).name, stream.read(YAML_BYTES_MAX + 1)
    except OSError as error:
        raise bad_input(f"cannot read {file}: {error.strerror}") from None
    if len(data) > YAML_BYTES_MAX:
        raise bad_input(f"{source} has more than {YAML_BYTES_MAX} bytes: apply it in several files")
    return source, data


def _print_changes(session: Session, changes: Iterable[ResourceChange], counter: int) -> None:
    rows = [{"kind": one.kind, "name": one.name, "change": one.change} for one in changes]
    if session.options.output:
        document = {"changes": rows, "counter": counter}
        print_one(document, session.options.output, lambda _: None)
        return
    print_documents(rows, CHANGES, "", "nothing to change")
    note(f"state {counter}")
