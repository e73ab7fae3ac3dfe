"""The folder that holds everything the embedded stack keeps: databases, logs, and the secrets it made up."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataFolderInUse(Exception):
    """Another stack runs on this folder, or it holds something else."""


class DataFolder:
    """Reading it changes nothing. `make()` and `locked()` make it, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._secrets = self.path / "secrets.json"
        self._lock = self.path / "lock"

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.path / "logs" / f"{name}.log"

    def secret(self, name: str) -> str:
        """A secret of this installation: the one kept, or a new random one. Only while the folder is locked."""
        return self.kept(name) or self.keep(name, secrets.token_urlsafe(32))

    def kept(self, name: str) -> str | None:
        """A value that was kept, or None."""
        value: str | None = self._read().get(name)
        return value

    def keep(self, name: str, value: str) -> str:
        """Keep a value for the next start, in a file that only its owner can read. Only while the folder is locked."""
        content = json.dumps(self._read() | {name: value}, indent=2)
        draft = self._secrets.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._secrets)
        return value

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if there is none, and hold it for one stack. Raises `DataFolderInUse`, `OSError`."""
        self.make()
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataFolderInUse(
                    f"A stack is running on {self.path} already. Stop it, or choose another folder with --data."
                ) from None
            yield

    def make(self) -> None:
        """Make the folder if there is none. Raises `DataFolderInUse` if it holds something else, and `OSError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {entry.name for entry in self.path.iterdir()}
        if self._lock.name in found:
            return
        if found:
            raise DataFolderInUse(
                f"{self.path} holds something else than a control plane's data. Choose another folder with --data."
            )
        self.path.chmod(0o700)
        self._lock.touch(mode=0o600)

    def _read(self) -> dict[str, str]:
        if not self._secrets.exists():
            return {}
        content: dict[str, str] = json.loads(self._secrets.read_text())
        return content
