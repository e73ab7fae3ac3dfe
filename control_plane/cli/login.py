"""`control-plane login` and `control-plane logout`."""

import sys

import typer
from pydantic import HttpUrl, TypeAdapter, ValidationError

from control_plane.cli import saved_login
from control_plane.cli.failures import Failure
from control_plane.client import is_on_this_machine
from control_plane.rest import Rest


def log_in(url: str, *, with_api_key: bool) -> None:
    """Read a key, ask the control plane whether it counts, and keep it with the address."""
    if not with_api_key:
        raise Failure("There is no sign-in by browser yet. Use `control-plane login --api-key`.")
    if _scheme(url) == "http" and not is_on_this_machine(url):
        typer.echo(f"Warning: {url} is not https, so others on the network can read the key.", err=True)
    key = _read_key()
    with Rest(url, key) as rest:
        organizations = rest.get("/organizations")
    path = saved_login.keep(url.rstrip("/"), key)
    where = ", ".join(found["slug"] for found in organizations) or "no organization"
    typer.echo(f"Signed in to {url} ({where}). The key is kept in {path}.")


def log_out() -> None:
    """Forget what was kept."""
    typer.echo("Signed out." if saved_login.forget() else "Nobody was signed in.")


def _scheme(url: str) -> str:
    try:
        return TypeAdapter(HttpUrl).validate_python(url).scheme
    except ValidationError:
        message = f"{url!r} is no URL of a control plane. Give one like --url https://control-plane.example.com."
        raise Failure(message) from None


def _read_key() -> str:
    """Never from the command line, where other users and the shell's history would see it."""
    typed = typer.prompt("API key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    key = str(typed).strip()
    if not key:
        raise Failure("No key was given. Type it, or pipe it in: `control-plane login --api-key < file-with-the-key`.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Failure("That is no API key: a key has no spaces and only plain characters.")
    return key
