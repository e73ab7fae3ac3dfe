"""`control-plane`: the command line. What a command needs is imported when it runs: `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from control_plane import __version__
from control_plane.cli import toolset, worker
from control_plane.cli.options import Data

app = typer.Typer(
    name="control-plane",
    help="An open control plane for AI agents that act on real infrastructure.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(worker.app)
app.add_typer(toolset.app)


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
def login(
    *,
    api_key: Annotated[
        bool, typer.Option("--api-key", help="Sign in with an API key, read from standard input or asked for.")
    ] = False,
    url: Annotated[
        str, typer.Option(envvar="CONTROL_PLANE_URL", help="Where the control plane is.")
    ] = "http://127.0.0.1:7777",
) -> None:
    """Keep the address of a control plane and a key for it, for all commands that follow."""
    from control_plane.cli.login import log_in  # noqa: PLC0415 - see above

    log_in(url, with_api_key=api_key)


@app.command()
def logout() -> None:
    """Forget what `control-plane login` kept. The key itself stays valid."""
    from control_plane.cli.login import log_out  # noqa: PLC0415 - see above

    log_out()


@app.command()
def token(
    subject: Annotated[str, typer.Option(help="Who the token is for, as the members of organizations name them.")],
    *,
    email: Annotated[str | None, typer.Option(help="A verified e-mail address of theirs.")] = None,
    audience: Annotated[
        str | None, typer.Option(help="Who shall accept the token. Default: this control plane.")
    ] = None,
    lifetime: Annotated[int, typer.Option(min=1, max=1440, help="Minutes until it expires.")] = 60,
    data: Data = None,
) -> None:
    """Issue a sign-in token with the key of the local issuer. Whoever has the token is that person until it expires."""
    from control_plane.cli.token import issue  # noqa: PLC0415 - see above

    issue(subject, email=email, audience=audience, minutes=lifetime, data=data)


@app.command()
def keys(data: Data = None) -> None:
    """Print the address and the keys of `control-plane dev` as shell variables. They are secrets."""
    from control_plane.cli.keys import show  # noqa: PLC0415 - see above

    show(data)


@app.command()
def bootstrap(
    organization: Annotated[str, typer.Option(help="Name of the organization.")],
    slug: Annotated[str, typer.Option(help="Its short name: lower-case letters and digits.")],
) -> None:
    """Create an organization, if it isn't there, and print the API key of its first owner, once.

    Needs CONTROL_PLANE_OPERATOR_KEY. The control plane is the one CONTROL_PLANE_URL names.
    """
    from control_plane.cli.bootstrap import let_in  # noqa: PLC0415 - see above

    let_in(organization, slug)


@app.command()
def migrate() -> None:
    """Bring the database that DATABASE_URL names up to date."""
    from control_plane.cli.migrate import upgrade  # noqa: PLC0415 - see above

    upgrade()


@app.command("rotate-encryption-key")
def rotate_encryption_key() -> None:
    """Bring all secrets under the first of CONTROL_PLANE_ENCRYPTION_KEYS. Safe to repeat, and while servers run."""
    from control_plane.cli.rotation import rotate_encryption_key as rotate  # noqa: PLC0415 - see above

    rotate()


@app.command()
def export(
    *,
    output: Annotated[Path, typer.Option(dir_okay=False, help="The file to write, one JSON object a line.")],
    organization: Annotated[
        str | None,
        typer.Option(
            metavar="SLUG",
            help="An organization of the database that DATABASE_URL names. Default: that of the API key.",
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Write all data of an organization to a file: every row of every table, without hashes and values of secrets."""
    from control_plane.cli.export import export as write  # noqa: PLC0415 - see above

    write(output, organization=organization, data=data)


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
