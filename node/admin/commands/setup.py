"""Setting up: `meshctl init` makes a new mesh and the context to steer it."""

from pathlib import Path
from typing import Annotated

import typer

from mesh.heads.identity import IdentityRefused, check_name
from node.admin import contexts
from node.admin.command import command
from node.admin.contexts import Address, Context
from node.admin.dialling import split_address
from node.admin.failures import bad_input
from node.admin.output import print_one, say
from node.admin.session import Session
from node.disk.authority_folder import FolderRefused, MeshPaths, initialise

MASTER_ADDRESS = "127.0.0.1:7400"
"""Of a master on this machine, with the default port."""


def register(app: typer.Typer) -> None:
    command(app)(init)


def init(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty.")],
    mesh: Annotated[str, typer.Option(help="The mesh's name: a-z, 0-9 and -.")],
    master: Annotated[str, typer.Option(help="The master's ID.")] = "master-1",
    operator: Annotated[str, typer.Option(help="Your name in the mesh.")] = "admin",
) -> None:
    """Makes a new mesh: the trust root, the master's keys, your own, and a context for them.

    --address says where the master will take admin calls; 127.0.0.1:7400 if not given.
    """
    master_address = session.options.address or MASTER_ADDRESS
    split_address(master_address)
    try:
        check_name("mesh", mesh)
        path = contexts.config_path()
        known = contexts.load(path)
        if mesh in known.contexts:
            raise bad_input(f"{path} already has a context {mesh}: choose another mesh name")
        made = initialise(folder, mesh, master, operator)
    except (FolderRefused, IdentityRefused) as error:
        raise bad_input(str(error)) from None
    address = Address(master, "master", "", master_address)
    contexts.save(path, known.with_context(Context(mesh, mesh, made.operator, (address,))))
    document = {
        "mesh": mesh,
        "root": str(made.root),
        "master": str(made.master),
        "operator": str(made.operator),
        "context": mesh,
        "config": str(path),
    }
    print_one(document, session.options.output, lambda _: _tell(mesh, made, path))


def _tell(mesh: str, made: MeshPaths, config: Path) -> None:
    say(f"the mesh [bold]{mesh}[/] is made")
    say(f"  {made.root}  the trust root: keep it offline, with a copy elsewhere")
    say(f"  {made.master}  the master's data: meshd master --data {made.master}")
    say(f"  {made.operator}  your keys: the context {mesh} in {config} names them")
    say("next: start the master, then `meshctl token create --site SITE`")
