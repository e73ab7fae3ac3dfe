"""`control-plane keys`: what people need to use the embedded stack by hand."""

import shlex
from pathlib import Path

import typer

from control_plane.cli.places import embedded
from control_plane.embedded.prefect_server import kept_auth_string


def show(data: Path | None) -> None:
    """Print shell variables, for `eval "$(control-plane keys)"`."""
    found = embedded(data)
    variables = {"CONTROL_PLANE_URL": found.url, "CONTROL_PLANE_API_KEY": found.api_key}
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    if found.folder and (secret := kept_auth_string(found.folder)):
        typer.echo(f"# The Prefect UI asks for: {secret}")
