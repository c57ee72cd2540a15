"""`meshctl`: the operator's command. It asks masters and nodes alike, over gRPC."""

import typer

from node.admin.command import AddressOption, ContextOption, IdentityOption, OutputOption
from node.admin.commands import (
    change,
    cordon,
    delegate,
    demo,
    explain,
    infer,
    local,
    look,
    models,
    pin,
    rollout,
    setup,
)
from node.admin.session import Options

app = typer.Typer(
    name="meshctl",
    help="Steers a mesh: through a master, or through any node, also while the WAN is down.",
    epilog="Exit codes: 0 done, 2 bad input, 3 unreachable, 4 refused, 1 anything else.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    typer_context: typer.Context,
    context: ContextOption = "",
    address: AddressOption = "",
    identity: IdentityOption = "",
    output: OutputOption = "",
) -> None:
    typer_context.obj = Options(context, address, identity, output)


look.register(app)
local.register(app)
explain.register(app)
change.register(app)
cordon.register(app)
delegate.register(app)
rollout.register(app)
pin.register(app)
models.register(app)
infer.register(app)
setup.register(app)
demo.register(app)


def main() -> None:
    """The program `meshctl`."""
    app()


if __name__ == "__main__":
    main()
