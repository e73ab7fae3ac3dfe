"""Opening what is below a folder, and nothing else.

Every step of a path is opened relative to the step before and without following symbolic links, so neither `..` nor a
link, nor a link put there meanwhile, leads out. Hard links are files like any other.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from toolsets.failures import ToolFailed

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_EXPLANATIONS = {
    errno.ENOENT: "does not exist",
    errno.EEXIST: "exists already",
    errno.ELOOP: "is a link, and links are not followed",
    errno.ENOTDIR: "is not a folder, or is a link, and links are not followed",
    errno.EISDIR: "is a folder",
    errno.EACCES: "can't be accessed",
    errno.ENOTEMPTY: "is not empty",
}


def parts(path: str) -> Sequence[str]:
    """The steps of a path; none for the folder itself. Raises `ToolFailed` if it leads out."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ToolFailed(f"{path!r} leads out of the folder. Use a relative path without `..`.")
    return [part for part in pure.parts if part != "."]


@contextmanager
def opened_folder(root: Path, steps: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A folder below `root`, open."""
    with explained("the root folder"):
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps:
            with explained(step):
                if create:
                    _make(step, folder)
                inner = os.open(step, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


@contextmanager
def opened_parent(root: Path, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that something below `root` is in, open, and its name in there."""
    steps = parts(path)
    if not steps:
        raise ToolFailed("Name a file, not the folder itself.")
    with opened_folder(root, steps[:-1], create=create) as folder:
        yield folder, steps[-1]


@contextmanager
def opened_file(root: Path, path: str, flags: int, *, create_folders: bool = False) -> Iterator[int]:
    """A regular file below `root`, open."""
    with opened_parent(root, path, create=create_folders) as (folder, name):
        with explained(path):
            # Not blocking: opening a named pipe would wait for ever.
            file = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ToolFailed(f"{path} is not a regular file.")
            yield file
        finally:
            os.close(file)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Errors of the operating system, for the model to read."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise ToolFailed(f"{path} {_EXPLANATIONS.get(number, os.strerror(number))}.") from error


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return
