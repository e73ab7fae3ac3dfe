"""Which exceptions are for the person at the terminal."""

import sys

from control_plane.client import ControlPlaneError
from control_plane.embedded.data_folder import DataFolderInUse
from control_plane.embedded.processes import ProcessFailed


class Failure(Exception):
    """A command can't do what was asked. `str()` says what happened and what to do."""


def explained(error: Exception) -> str | None:
    """What to tell of an error, or None if it is a bug of ours."""
    if isinstance(error, (Failure, ControlPlaneError, ProcessFailed, DataFolderInUse)):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    # Whoever raised an error of SQLAlchemy's has imported it; most commands never do, and it isn't always installed.
    database_errors = sys.modules.get("sqlalchemy.exc")
    if database_errors and isinstance(error, database_errors.DBAPIError):
        return f"The database refused: {str(error.orig).strip()}"
    return None
