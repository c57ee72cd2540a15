"""Boxes that are admitted at their site: delegating that at a master, and doing it, with or without
a network."""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mesh.heads.admission_request import REQUEST_MAX, RequestRefused, open_request
from mesh.heads.certificates import read_certificate
from mesh.heads.identity import IdentityRefused
from mesh.heads.limits import AUTONOMY_MS_MAX, DELEGATED_MAX
from mesh.heads.snapshot import (
    Foundation,
    SnapshotRefused,
    check_follows,
    check_root,
    open_snapshot,
)
from mesh.heads.trust import pin
from node.admin.admission import Admitted, Desk
from node.admin.client import Client
from node.admin.command import command
from node.admin.durations import duration_ms
from node.admin.failures import BAD_INPUT, REFUSED, Failure, NotThere, bad_input, refused
from node.admin.output import note, print_one, say, time
from node.admin.session import Session
from node.disk.authority_folder import KEYS, FolderRefused
from node.disk.authority_keys import DELEGATED_FOLDER
from node.disk.delegation_folder import DelegationFolder
from node.disk.errors import DiskError
from node.disk.files import Disk, make_durable_folder, replace_file
from protos.documents_pb2 import SiteSnapshot


def register(app: typer.Typer) -> None:
    command(app)(delegate)
    command(app)(admit)


def delegate(
    session: Session,
    site: Annotated[str, typer.Option(help="Where boxes may be admitted.")] = "",
    count: Annotated[int, typer.Option(help="How many.", min=1, max=DELEGATED_MAX)] = 1,
    until: Annotated[str, typer.Option(help="For how long: 12h, 90d.")] = "90d",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="New: for the key that admits. Whoever has it can admit boxes; give it to the "
            "site's operator, and keep it as you keep keys.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        str, typer.Option(metavar="ID", help="End this delegation instead.", show_default=False)
    ] = "",
    reason: Annotated[str, typer.Option(help="Why it ends; for the record.")] = "",
) -> None:
    """Lets an operator at a site admit replacement boxes there while no master is reached.

    The key is made here and stays in the folder. `meshctl get delegations` lists them.
    """
    if end:
        with session.master() as client:
            done = client.end_delegation(end, reason)
        document = {"id": done.id, "ended": True, "counter": done.counter}
        print_one(document, session.options.output, lambda _: say(f"{done.id} is ended"))
        return
    if not site or out is None:
        raise bad_input("name the site and a new folder for the key: --site SITE --out FOLDER")
    valid_ms = duration_ms("--until", until, 1, AUTONOMY_MS_MAX)
    with session.master() as client:
        try:
            folder = DelegationFolder.make(out, client.identity.mesh, site)
        except (FolderRefused, IdentityRefused) as error:
            raise bad_input(str(error)) from None
        try:
            made = client.delegate(site, count, valid_ms, folder.authority)
        except Failure as failure:
            _tell_not_delegated(session, folder, failure)
            raise failure from None
        try:
            _keep(folder, client.snapshot(site), session.keys.root_key)
        except Failure as failure:
            note(f"the delegation stands, but {out} knows nothing of the site yet, so that meshctl "
                 f"admit has to ask a node of it, with --address: {failure}")  # fmt: skip
    _remember(session, folder)
    document = {
        "id": made.id,
        "site": site,
        "count": count,
        "until": made.until_unix_ms,
        "folder": str(out),
        "counter": made.counter,
    }
    print_one(document, session.options.output, lambda _: _tell_delegated(made.until_unix_ms, out))


def _tell_not_delegated(session: Session, folder: DelegationFolder, failure: Failure) -> None:
    """A master that refuses has done nothing; one whose answer is lost may have done it all."""
    if isinstance(failure, NotThere) or failure.exit_code in (BAD_INPUT, REFUSED):
        note(f"{folder.path} holds a key that no master knows of: it is of no use, remove it")
        return
    _remember(session, folder)
    note(f"the delegation {folder.id} may stand all the same: see `meshctl get delegations`. If it "
         f"does, {folder.path} is good for it, and meshctl admit has to ask a node of the site, "
         f"with --address; if not, remove {folder.path}")  # fmt: skip


def _remember(session: Session, folder: DelegationFolder) -> None:
    """So that `meshctl` reaches the boxes, too."""
    kept = session.context.keys / KEYS / DELEGATED_FOLDER
    try:
        make_durable_folder(Disk(), kept)
        replace_file(Disk(), kept / f"{folder.id}.der", folder.authority)
    except (OSError, DiskError) as error:
        note(f"meshctl will not reach the boxes themselves, but their neighbours: {error}")


def _tell_delegated(until_ms: int, out: Path) -> None:
    say(f"{out} holds the key that admits boxes, until {time(until_ms)}: keep it as you keep keys")
    say("on a new box: meshd node request --site SITE --data DIR; here: meshctl admit REQUEST "
        f"--with {out}")  # fmt: skip


def admit(
    session: Session,
    request: Annotated[
        str, typer.Argument(help="A file with the line that the box printed; - reads from stdin.")
    ],
    folder: Annotated[
        Path, typer.Option("--with", metavar="FOLDER", help="What `meshctl delegate` made.")
    ],
    number: Annotated[
        int, typer.Option(min=0, help="Which of the count it is; the next if not given.")
    ] = 0,
    replaces: Annotated[
        str,
        typer.Option(
            metavar="NODE",
            help="The box takes this node's place: that one is shut out of the site at once.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[Path, typer.Option(metavar="FILE", help="For the box: carry it there.")] = Path(
        "admission"
    ),
) -> None:
    """Admits a box at its site, with no master and, if need be, with no network.

    With --address it asks a node of the site what holds now; without, it goes by what the folder
    knows of the last time.
    """
    try:
        held = DelegationFolder.load(folder)
        asked = open_request(_read(request))
        if session.options.address:
            with session.client() as client:
                if replaces:
                    _must_not_live(client, replaces)
                _keep(held, client.snapshot(held.site), session.keys.root_key)
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        done = Desk(held, held.snapshot(), now_ms).admit(asked, number, replaces)
        _write(out, done.bundle.SerializeToString())
    except (FolderRefused, RequestRefused, SnapshotRefused) as error:
        raise bad_input(str(error)) from None
    except (OSError, DiskError) as error:
        text = f"{error}; no admission is there: once that is mended the box gets the same again"
        raise Failure(text) from None
    print_one(_document(done, out), session.options.output, lambda _: _tell_admitted(done, out))


def _must_not_live(client: Client, node: str) -> None:
    """Who is replaced is shut out for good: a slip of the pen is not to end what serves."""
    if any((one["node"], one["live"]) == (node, "live") for one in client.get("nodes", node)):
        raise refused(
            f"{node} lives, says {client.identity.name}: switch it off first, and ask again some "
            "seconds later. If it is to be shut out as it is, leave out --address"
        )


def _write(out: Path, admission: bytes) -> None:
    """Writes it whole or not at all. No secret: the agent of the box may be another user."""
    replace_file(Disk(), out, admission)
    with suppress(OSError):  # a stick may know no modes
        out.chmod(0o644)


def _keep(folder: DelegationFolder, snapshot: SiteSnapshot, root_key: bytes) -> None:
    """Keeps what a daemon said of the site, once it was checked: that it is of the operator's own
    root and of the folder's, and not older than what the folder knows. For a node may be stolen,
    and whom a box trusts for ever comes from here."""
    try:
        known = open_snapshot(snapshot, folder.site)
        check_root(known, root_key)
        before = _before(folder)
        if before is not None:
            check_root(known, before.trust.root_key)
            check_follows(known, before)
        folder.keep_snapshot(snapshot)
    except SnapshotRefused as error:
        raise refused(str(error)) from None
    except (OSError, DiskError) as error:
        raise Failure(f"{folder.path}: what is known of the site is not kept: {error}") from None


def _before(folder: DelegationFolder) -> Foundation | None:
    """What the folder knew; None where it is nothing, or damaged: a daemon is asked to mend that,
    and what it says is compared with the operator's own root all the same."""
    try:
        return open_snapshot(folder.snapshot(), folder.site)
    except (FolderRefused, SnapshotRefused):
        return None


def _document(done: Admitted, out: Path) -> dict[str, object]:
    identity = read_certificate(done.certificate).identity
    return {
        "node": identity.name,
        "site": identity.site,
        "number": done.number,
        "count": done.count,
        "file": str(out),
        "root": pin(done.bundle.snapshot.root_key),
    }


def _tell_admitted(done: Admitted, out: Path) -> None:
    identity = read_certificate(done.certificate).identity
    say(f"{identity.name} is admitted at {identity.site}, number {done.number} of {done.count}")
    say(f"carry {out} to the box: meshd node join --admission {out.name} --data DIR")
    root = pin(done.bundle.snapshot.root_key)
    say(f"its trust root has the pin {root}: compare it with what the box says")


def _read(file: str) -> str:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
            data = stream.read(REQUEST_MAX + 1)
    except OSError as error:
        raise bad_input(f"{file}: {error.strerror}") from None
    return data.decode("ascii", errors="replace")
