"""How a function becomes a command: the options that all commands share, and exit codes.

`@command(app)` takes a function whose first parameter is the Session, adds --context, --address,
--identity and --output to its own parameters (so that they may stand anywhere on the line, as
kubectl's users expect), and turns a Failure into its text on stderr and its exit code.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer

from node.admin import contexts
from node.admin.failures import Failure
from node.admin.output import FORMATS, error
from node.admin.session import Options, Session

SHARED_PANEL = "Options of every command"


def _context_names(incomplete: str) -> list[str]:
    try:
        known = contexts.load(contexts.config_path()).contexts
    except Failure:
        return []
    return [name for name in sorted(known) if name.startswith(incomplete)]


def _formats(incomplete: str) -> list[str]:
    return [name for name in FORMATS if name.startswith(incomplete)]


ContextOption = Annotated[
    str,
    typer.Option(
        "--context",
        metavar="NAME",
        help="Which mesh; the current one of the file of contexts if not given.",
        autocompletion=_context_names,
        show_default=False,
        rich_help_panel=SHARED_PANEL,
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Ask this daemon, a master or any node, not one of the context's.",
        show_default=False,
        rich_help_panel=SHARED_PANEL,
    ),
]
IdentityOption = Annotated[
    str,
    typer.Option(
        "--identity",
        metavar="ID",
        help="Who must be at --address: ID, node/ID or master/ID; refused if it is another.",
        show_default=False,
        rich_help_panel=SHARED_PANEL,
    ),
]
OutputOption = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="table, json or yaml.",
        autocompletion=_formats,
        show_default=False,
        rich_help_panel=SHARED_PANEL,
    ),
]
SHARED = {
    "context": ContextOption,
    "address": AddressOption,
    "identity": IdentityOption,
    "output": OutputOption,
}


def command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers the function below as a command of `app`; its docstring is the help."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(typer_context: typer.Context, **given: Any) -> None:
            own = Options(**{key: given.pop(key) for key in SHARED})
            options = own.over(typer_context.obj or Options())
            finish(lambda: function(Session(options.checked()), **given))

        _take_on_signature(run, function)
        app.command(name)(run)
        return function

    return register


def finish(work: Callable[[], None]) -> None:
    """Does the work; a Failure is told on stderr and becomes the exit code."""
    try:
        work()
    except Failure as failure:
        error(str(failure))
        raise typer.Exit(failure.exit_code) from None
    except grpc.RpcError as failed:
        error(f"{failed.code().name}: {failed.details()}")
        raise typer.Exit(1) from None


def _take_on_signature(run: Callable[..., None], function: Callable[..., None]) -> None:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            "typer_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        ),
        *(one.replace(kind=kind) for one in own),
        *(
            inspect.Parameter(key, kind, default="", annotation=annotation)
            for key, annotation in SHARED.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
