"""`control-plane token`: a sign-in token of the local issuer."""

import os
import re
from datetime import timedelta
from pathlib import Path

import typer
from pydantic import HttpUrl, TypeAdapter, ValidationError

from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.oidc import MOST_CHARACTERS, SUBJECT
from control_plane.cli.failures import Failure
from control_plane.cli.places import data_folder


def issue(subject: str, *, email: str | None, audience: str | None, minutes: int, data: Path | None) -> None:
    """Print a token and nothing else. Raises `Failure` if there is no key to sign with."""
    if not subject.strip():
        raise Failure("--subject is empty. Name the person as the members of the organization do.")
    if len(subject) > MOST_CHARACTERS or not re.fullmatch(SUBJECT, subject):
        raise Failure(f"--subject must be at most {MOST_CHARACTERS} printable ASCII characters, as for members.")
    issuer = _issuer(data)
    typer.echo(issuer.issue(subject, lifetime=timedelta(minutes=minutes), audience=audience, email=email))


def _issuer(data: Path | None) -> LocalIssuer:
    """The issuer that the settings of the API server describe, or the one of the embedded stack."""
    url, keys = os.environ.get("CONTROL_PLANE_PUBLIC_URL"), os.environ.get("CONTROL_PLANE_LOCAL_ISSUER_KEYS")
    if keys and not url:
        raise Failure("CONTROL_PLANE_PUBLIC_URL is not set. Set it as the API server has it: it is part of the token.")
    if not keys:
        folder = data_folder(data)
        url, keys = folder.kept("api_url"), folder.kept("local_issuer_key")
    if not (url and keys):
        raise Failure(
            "There is no key to sign with. Set CONTROL_PLANE_LOCAL_ISSUER_KEYS and CONTROL_PLANE_PUBLIC_URL as the API"
            " server has them, or start `control-plane dev`, which makes one."
        )
    try:
        return LocalIssuer(str(TypeAdapter(HttpUrl).validate_python(url)), keys)
    except ValidationError:
        raise Failure(f"CONTROL_PLANE_PUBLIC_URL is no URL: {url!r}.") from None
    except ValueError as error:
        raise Failure(str(error)) from None
