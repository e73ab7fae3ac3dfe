"""Where the command line finds things: the data folder, and the control plane to talk to."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_data_path

from control_plane.cli import saved_login
from control_plane.cli.failures import Failure
from control_plane.embedded.data_folder import DataFolder

DEV = "Start one with `control-plane dev`"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The address of a control plane and a key for it. `folder` is its data folder if it is the embedded stack."""

    url: str
    api_key: str = field(repr=False)
    folder: DataFolder | None = None


def data_folder(given: Path | None) -> DataFolder:
    """The folder that was named, or the user's own."""
    return DataFolder(given or user_data_path("agent-control-plane"))


def control_plane(data: Path | None) -> ControlPlane:
    """The one that the environment names, or that one is signed in to, or the one of the data folder.

    A data folder that is named comes before a saved login. Raises `Failure`.
    """
    url, key = os.environ.get("CONTROL_PLANE_URL"), os.environ.get("CONTROL_PLANE_API_KEY")
    if url and key:
        return ControlPlane(url, key)
    if url or key:
        missing = "CONTROL_PLANE_API_KEY" if url else "CONTROL_PLANE_URL"
        raise Failure(f"{missing} is not set. Set both it and its counterpart, or neither to use the data folder.")
    if data is None and (saved := saved_login.read()):
        return ControlPlane(*saved)
    return embedded(data)


def embedded(data: Path | None) -> ControlPlane:
    """The one of the data folder. Raises `Failure`."""
    folder = data_folder(data)
    url, key = folder.kept("api_url"), folder.kept("api_key")
    if not (url and key):
        raise Failure(
            f"There is no control plane in {folder.path}. {DEV}; if one runs on another folder, name that with --data"
            " or CONTROL_PLANE_DATA; for one elsewhere sign in with `control-plane login --api-key`, or set"
            " CONTROL_PLANE_URL and CONTROL_PLANE_API_KEY."
        )
    return ControlPlane(url, key, folder)
