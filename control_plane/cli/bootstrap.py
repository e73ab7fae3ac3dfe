"""`control-plane bootstrap`: an organization and the API key of its first owner."""

import os

import typer

from control_plane.cli.failures import Failure
from control_plane.embedded.bootstrap import ensure
from control_plane.rest import Rest


def let_in(organization: str, slug: str) -> None:
    """Print the key. Raises `Failure` if the environment has no operator key, `Refused` if there is an owner."""
    operator_key = os.environ.get("CONTROL_PLANE_OPERATOR_KEY")
    if not operator_key:
        raise Failure("CONTROL_PLANE_OPERATOR_KEY is not set. It is the one that the API server was started with.")
    url = os.environ.get("CONTROL_PLANE_URL", "http://127.0.0.1:7777")
    with Rest(url, operator_key) as operator:
        found = ensure(operator, "/organizations", {"name": organization, "slug": slug}, by=("slug",))
        issued = operator.post(f"/organizations/{found['id']}/bootstrap", {"name": "first owner"})
    typer.echo(f"{organization} is ready. This is its owner's API key, which can't be shown again:", err=True)
    typer.echo(issued["key"])
