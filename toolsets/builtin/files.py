"""Files under one folder: the workspace of the execution, or the folder that the toolset's setting `root` names.

Settings: `root` (absolute path of a folder) and `read_only` (anything but false means that nothing can be changed).
Every step of a path is opened relative to the step before and without following symbolic links, so neither `..` nor a
link, nor a link put there meanwhile, leads out. Hard links are files like any other.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl

MAX_BYTES = 1_000_000
MAX_ENTRIES = 1_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_EXPLANATIONS = {
    errno.ENOENT: "does not exist",
    errno.ELOOP: "is a link, and links are not followed",
    errno.ENOTDIR: "is not a folder, or is a link, and links are not followed",
    errno.EISDIR: "is a folder",
    errno.EACCES: "can't be accessed",
    errno.ENOTEMPTY: "is not empty",
}

files = Toolset("files", description="Files and folders of the workspace.")


@files.tool(effect="read")
def list(context: ToolContext, path: str = ".") -> dict[str, object]:  # noqa: A001 - the tool is called files_list
    """List a folder: files with their size in bytes, folders with a trailing /, links and other things with an @."""
    with _folder(context, _parts(path)) as folder, _explained(path), os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
        listed = [_listed(entry) for entry in found[:MAX_ENTRIES]]
    return {"path": path, "entries": listed, "more": max(0, len(found) - MAX_ENTRIES)}


@files.tool(effect="read")
def read(context: ToolContext, path: str) -> str:
    """Read a text file."""
    with _opened(context, path, os.O_RDONLY) as file:
        content = os.read(file, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ToolFailed(f"{path} is larger than {MAX_BYTES} bytes, the most that can be read.")
    return content.decode(errors="replace")


@files.tool(effect="write", idempotent=True)
def write(context: ToolContext, path: str, content: str) -> dict[str, object]:
    """Write a text file with this content. Creates the file and its folders, or replaces what was in it."""
    _refuse_if_read_only(context)
    data = content.encode()
    if len(data) > MAX_BYTES:
        raise ToolFailed(f"The content is larger than {MAX_BYTES} bytes, the most that can be written.")
    with _opened(context, path, os.O_WRONLY | os.O_CREAT, create_folders=True) as file, _explained(path):
        os.ftruncate(file, 0)
        with os.fdopen(os.dup(file), "wb") as stream:
            stream.write(data)
    return {"path": path, "bytes": len(data)}


@files.tool(effect="destroy", idempotent=True)
def delete(context: ToolContext, path: str) -> dict[str, object]:
    """Delete a file."""
    _refuse_if_read_only(context)
    *parents, name = _parts(path) or [""]
    with _explained(path), _folder(context, parents) as folder:
        if not name:
            raise ToolFailed("Name a file, not the folder itself.")
        os.unlink(name, dir_fd=folder)
    return {"path": path, "deleted": True}


def _listed(entry: os.DirEntry[str]) -> dict[str, object]:
    name = os.fsencode(entry.name).decode(errors="replace")
    if entry.is_dir(follow_symlinks=False):
        return {"name": f"{name}/"}
    if not entry.is_file(follow_symlinks=False):
        return {"name": f"{name}@"}
    return {"name": name, "bytes": entry.stat(follow_symlinks=False).st_size}


def _refuse_if_read_only(context: ToolContext) -> None:
    if context.settings.get("read_only", False) is not False:
        raise ToolFailed("These files are read-only here.")


def _parts(path: str) -> Sequence[str]:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ToolFailed(f"{path!r} leads out of the folder. Use a relative path without `..`.")
    return [part for part in pure.parts if part != "."]


@contextmanager
def _folder(context: ToolContext, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    root = context.settings.get("root", str(context.workspace))
    if not isinstance(root, str) or not root.startswith("/"):
        raise ToolFailed("The setting `root` of the toolset files must be the absolute path of a folder.")
    with _explained("the root folder"):
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            with _explained(part):
                if create:
                    _make(part, folder)
                inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return


@contextmanager
def _opened(context: ToolContext, path: str, flags: int, *, create_folders: bool = False) -> Iterator[int]:
    parts = _parts(path)
    if not parts:
        raise ToolFailed("Name a file, not the folder itself.")
    with _folder(context, parts[:-1], create=create_folders) as folder:
        with _explained(path):
            # Not blocking: opening a named pipe would wait for ever.
            file = os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ToolFailed(f"{path} is not a regular file.")
            yield file
        finally:
            os.close(file)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ToolFailed(f"{path} {_EXPLANATIONS.get(error.errno or 0, os.strerror(error.errno or 0))}.") from error


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `files`."""
    return files
