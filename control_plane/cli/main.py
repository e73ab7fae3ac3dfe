"""`control-plane`: the command line. What a command needs is imported when it runs: `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from control_plane import __version__

app = typer.Typer(
    name="control-plane",
    help="An open control plane for AI agents that act on real infrastructure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    Path | None,
    typer.Option(
        envvar="CONTROL_PLANE_DATA",
        help="Folder that holds everything the stack keeps. Default: the user's data folder.",
        show_default=False,
    ),
]


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if asked:
        typer.echo(f"control-plane {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """An open control plane for AI agents that act on real infrastructure."""


@app.command()
def dev(
    data: Data = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API. Default: 7777, or the next that is free.")
    ] = None,
) -> None:
    """Start PostgreSQL, Prefect, the API and a worker on this machine, and keep them up until Ctrl-C."""
    from control_plane.cli.dev import stay_up  # noqa: PLC0415 - see above

    stay_up(data, port=port)


@app.command()
def run(
    agent: Annotated[str, typer.Argument(help="Name or id of an agent.")],
    message: Annotated[str, typer.Argument(help="What the agent is asked to do.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what happens until the execution ends.")] = False,
    context: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Context for policies. Can be repeated.")
    ] = None,
    data: Data = None,
) -> None:
    """Start an execution of an agent. The control plane is the one CONTROL_PLANE_URL names, or `control-plane dev`."""
    from control_plane.cli.run import start  # noqa: PLC0415 - see above

    start(agent, message, context=context or [], follow=follow, data=data)


@app.command()
def keys(data: Data = None) -> None:
    """Print the address and the keys of `control-plane dev` as shell variables. They are secrets."""
    from control_plane.cli.keys import show  # noqa: PLC0415 - see above

    show(data)


@app.command()
def migrate() -> None:
    """Bring the database that DATABASE_URL names up to date."""
    from control_plane.cli.migrate import upgrade  # noqa: PLC0415 - see above

    upgrade()


@app.command()
def doctor(data: Data = None) -> None:
    """Tell what is missing on this machine, and how to mend it."""
    from control_plane.cli.doctor import examine  # noqa: PLC0415 - see above

    examine(data)


def main() -> None:
    """Run the command line. What can be understood is told in a sentence, exit 1; a bug keeps its traceback."""
    try:
        app()
    except Exception as error:
        from control_plane.cli.failures import explained  # noqa: PLC0415 - see above

        message = explained(error)
        if message is None:
            raise
        typer.secho(f"Error: {message}", err=True, fg=typer.colors.RED)
        sys.exit(1)
