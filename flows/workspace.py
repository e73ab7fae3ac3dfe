"""The folder in which an execution's tools leave files. It is removed with the execution, or after its process died."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.runtimes.protocol import RunFailed


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """An empty folder, removed afterwards. The lock file beside it is held for as long as this process lives."""
    folder = _root() / name
    lock = _locked(folder.with_name(f"{name}.lock"), create=True)
    if lock is None:
        raise RunFailed(f"Another process on this machine uses the workspace {name}.", code="workspace_unavailable")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock)


def sweep() -> None:
    """Remove the workspaces of processes that are gone. One that cannot be removed is left for the next time."""
    for path in _root().glob("*.lock"):
        lock = _locked(path, create=False)
        if lock is not None:
            _remove(path.with_suffix(""), lock)


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"control-plane-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()
    if root.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        # The temporary folder is everybody's, so anybody may have made it first.
        raise RunFailed(
            f"{root} is not a folder that belongs to the worker's user alone. Remove it, or set TMPDIR for the worker.",
            code="workspace_unavailable",
        )
    return root


def _locked(path: Path, *, create: bool) -> int | None:
    """The open lock file, or None if another process holds it or has just removed it."""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if os.fstat(lock).st_nlink:
            return lock
        # Whoever held it removed it between our opening and locking it: what we hold has no name any more.
        os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    finally:
        os.close(lock)
