"""Local changes: an operator at a site changes what runs there, within what the plan allows."""

import time
from typing import Annotated

import typer

from mesh.heads.identity import Identity
from mesh.heads.limits import AUTONOMY_MS_MAX
from mesh.site.changes import CHOSEN, KIND, PIN, RESTART, ROLLBACK, SCALE
from node.admin.columns import COLUMNS
from node.admin.command import command
from node.admin.dialling import identify
from node.admin.documents import Document
from node.admin.durations import duration_ms
from node.admin.failures import Failure
from node.admin.output import print_documents, print_one, say, seconds
from node.admin.session import Session
from protos.documents_pb2 import LocalChange

DAY_MS = 86_400_000
COUNTER_MAX = 10_000
"""Changes of one field under one state: more than a site makes."""
EMPTY = "no local changes: everything is as planned"

Service = Annotated[str, typer.Argument(help="The service's name.")]
Reason = Annotated[str, typer.Option(help="Why: it is journalled, and shown at the master.")]
For = Annotated[str, typer.Option("--for", help="How long it counts: 30m, 2h, 3d.")]


def register(app: typer.Typer) -> None:
    local = typer.Typer(
        help="Changes at one site, made at a node of it, also while the WAN is down. The plan's "
        "autonomy says which are allowed, and for how long.",
        no_args_is_help=True,
    )
    command(local, "scale")(scale)
    command(local, "pin")(pin)
    command(local, "restart")(restart)
    command(local, "rollback")(rollback)
    command(local, "end")(end)
    command(local, "ls")(ls)
    app.add_typer(local, name="local")


def scale(
    session: Session,
    service: Service,
    replicas: Annotated[int, typer.Argument(min=0, max=256)],
    reason: Reason,
    lasts: For = "2h",
) -> None:
    """Makes a service have so many replicas here, for a time."""
    _change(session, service, SCALE, str(replicas), lasts, reason)


def pin(
    session: Session,
    service: Service,
    version: Annotated[str, typer.Argument(help="Of its model: one that this site knows.")],
    reason: Reason,
    lasts: For = "2h",
) -> None:
    """Makes a service run a version of its model here, for a time."""
    _change(session, service, PIN, version, lasts, reason)


def restart(session: Session, service: Service, reason: Reason, lasts: For = "1h") -> None:
    """Restarts a service here, node by node: each replica ends once its successor serves. Nodes
    that hear of it later than --for do not restart."""
    _change(session, service, RESTART, CHOSEN, lasts, reason)


def rollback(session: Session, service: Service, reason: Reason, lasts: For = "2h") -> None:
    """Makes a service run the last good version before the present one here, for a time: the one
    that the node knows."""
    _change(session, service, ROLLBACK, CHOSEN, lasts, reason)


def end(
    session: Session,
    service: Service,
    field: Annotated[str, typer.Argument(help="scale, pin, restart or rollback")],
    reason: Reason,
) -> None:
    """Ends a local change before its time: the service is as planned again."""
    with session.client() as client:
        found = [
            one
            for one in client.get("changes", service)
            if one["field"] == field and one["value"] != "as planned"
        ]
        if not found:
            raise Failure(f"no local change of {field!r} of {service!r}; see `meshctl local ls`")
    _change(session, service, field, "", "1h", reason, until=max(one["until"] for one in found))


def ls(session: Session) -> None:
    """Shows the local changes that count: at a node its site's, at a master what it heard."""
    with session.client() as client:
        found = client.get("changes")
    print_documents(found, COLUMNS["changes"], session.options.output, EMPTY)


def _change(
    session: Session,
    service: str,
    field: str,
    value: str,
    lasts: str,
    reason: str,
    until: int | None = None,
) -> None:
    valid_s = duration_ms("--for", lasts, 1000, AUTONOMY_MS_MAX) // 1000
    with session.client() as client:
        body = LocalChange.FromString(client.draft_change(service, field, value, valid_s, reason))
        target, keys = client.target, session.keys
        certified = identify(target.address, target.identity.mesh, keys.tls)
        _must_be(body, certified, (service, field, value, reason))
        _must_last(body, valid_s, until)
        body.operator = keys.identity.name
        signed = keys.signer.sign(KIND, body.SerializeToString(deterministic=True))
        digest = client.change(signed)
    print_one(_document(body, digest), session.options.output, lambda _: _tell(body))


def _must_be(body: LocalChange, node: Identity, asked: tuple[str, str, str, str]) -> None:
    """A node drafts, the operator signs: what he signs is what he asked for, and for its site."""
    chosen = asked[2] == CHOSEN and body.value
    value = CHOSEN if chosen else body.value  # a restart's number, a rollback's version
    drafted = (body.workload, body.field, value, body.reason)
    if drafted != asked or (body.mesh, body.site) != (node.mesh, node.site):
        raise Failure("the node drafted another change than was asked for: nothing was signed")


def _must_last(body: LocalChange, valid_s: int, until: int | None) -> None:
    """A node that drafts cannot make it last longer, or outrank everything to come. An end may last
    as long as what it ends, `until`."""
    lasts = body.until_unix_ms in (body.made_unix_ms + valid_s * 1000, until)
    now_ms = time.time_ns() // 1_000_000
    if not lasts or abs(body.made_unix_ms - now_ms) > DAY_MS or body.counter > COUNTER_MAX:
        raise Failure(
            "the node drafted a change of another time than was asked for, nothing was signed: "
            "are its clock and this machine's right?"
        )


def _document(body: LocalChange, digest: bytes) -> Document:
    return {
        "workload": body.workload,
        "site": body.site,
        "field": body.field,
        "value": body.value or "as planned",
        "until": body.until_unix_ms,
        "operator": body.operator,
        "reason": body.reason,
        "change": digest.hex(),
    }


def _tell(body: LocalChange) -> None:
    lasts = seconds((body.until_unix_ms - body.made_unix_ms) / 1000)
    if body.field == RESTART and body.value:
        say(f"{body.workload} restarts at {body.site}, node by node")
        return
    what = "is as planned again" if not body.value else f"has {body.field} = {body.value}"
    until = "" if not body.value else f" for {lasts}, or until a plan says something else"
    say(f"{body.workload} {what} at {body.site}{until}")
