"""`control-plane migrate`: the schema of a database of one's own."""

import os

import typer
from sqlalchemy.engine import make_url

import migrations
from control_plane.cli.failures import Failure


def upgrade() -> None:
    """Migrate, and let the login of `DATABASE_URL` use the tables."""
    url = os.environ.get("CONTROL_PLANE_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if not url:
        raise Failure("DATABASE_URL is not set. Set it to postgresql://login:password@host:port/database.")
    owner_url = os.environ.get("CONTROL_PLANE_MIGRATION_DATABASE_URL", url)
    migrations.upgrade(owner_url, grant_to=make_url(url).username if owner_url != url else None)
    typer.echo("The database is up to date.")
