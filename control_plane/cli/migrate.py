"""`control-plane migrate`: the schema of a database of one's own."""

import typer

from control_plane.cli.failures import Failure
from control_plane.embedded.own_database import OwnDatabase


def upgrade() -> None:
    """Migrate. Raises `Failure` if the environment names no database."""
    database = OwnDatabase.named()
    if database is None:
        raise Failure("DATABASE_URL is not set. Set it to postgresql://login:password@host:port/database.")
    database.migrate()
    typer.echo("The database is up to date.")
