"""`control-plane toolset`: for whoever writes toolsets, or wants to know what is installed."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="toolset", help="Write, list and check toolsets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of an installed toolset.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the toolset: lower-case letters, digits and underscores.")],
    *,
    into: Annotated[Path, typer.Option(file_okay=False, help="Folder in which the package's own is made.")] = Path(),
) -> None:
    """Make a package with a toolset, its tests and its entry point, ready to be installed."""
    from control_plane.cli.toolset_new import make  # noqa: PLC0415 - see `control_plane.cli.main`

    make(name, into=into)


@app.command("list")
def list_() -> None:
    """List the toolsets that are installed here, and say why a broken one can't be used."""
    from control_plane.cli.toolset_show import show_all  # noqa: PLC0415 - see `control_plane.cli.main`

    show_all()


@app.command("test")
def check(
    name: Name,
    *,
    settings: Annotated[
        Path | None, typer.Option(dir_okay=False, exists=True, help="Settings to test it with, as a file of JSON.")
    ] = None,
) -> None:
    """Check that a toolset keeps the contract of plugins. Exits with 1 if it doesn't."""
    from control_plane.cli.toolset_show import check as look  # noqa: PLC0415 - see `control_plane.cli.main`

    look(name, settings=settings)


@app.command()
def schema(name: Name) -> None:
    """Print the JSON Schemas of a toolset: of its settings, and of the arguments of each tool."""
    from control_plane.cli.toolset_show import show_schemas  # noqa: PLC0415 - see `control_plane.cli.main`

    show_schemas(name)
