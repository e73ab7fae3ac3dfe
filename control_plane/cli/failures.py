"""Which exceptions are for the person at the terminal."""

from control_plane.client import ControlPlaneError
from control_plane.embedded.data_folder import DataFolderInUse
from control_plane.embedded.processes import ProcessFailed


class Failure(Exception):
    """A command can't do what was asked. `str()` says what happened and what to do."""


def explained(error: Exception) -> str | None:
    """What to tell of an error, or None if it is a bug of ours."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - most commands never need a database

    match error:
        case Failure() | ControlPlaneError() | ProcessFailed() | DataFolderInUse():
            return str(error)
        case DBAPIError():
            return f"The database refused: {str(error.orig).strip()}"
        case _:
            return None
