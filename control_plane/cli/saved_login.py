"""What `control-plane login` keeps: one address and one key, in a file that only its owner can read."""

import json
import os
from pathlib import Path

from platformdirs import user_config_path

from control_plane.cli.failures import Failure


def read() -> tuple[str, str] | None:
    """The address and the key, or None if nobody signed in. Raises `Failure` if the file can't be trusted."""
    path = location()
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if status.st_mode & 0o077:
        raise Failure(f"Other users can read {path}, which holds a key. Run `chmod 600 {path}`, or sign in again.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["url"]), str(content["api_key"])
    except (ValueError, TypeError, KeyError):
        raise Failure(f"{path} can't be read. Sign in again with `control-plane login --api-key`.") from None


def keep(url: str, api_key: str) -> Path:
    """Keep them instead of what was kept before; where."""
    path = location()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Exclusive, so that the mode is ours and not that of a file somebody left there.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"url": url, "api_key": api_key}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def forget() -> bool:
    """Remove what was kept; whether there was anything."""
    try:
        location().unlink()
    except FileNotFoundError:
        return False
    return True


def location() -> Path:
    """The file, whether it exists or not."""
    folder = os.environ.get("CONTROL_PLANE_CONFIG")
    return (Path(folder) if folder else user_config_path("agent-control-plane")) / "login.json"
