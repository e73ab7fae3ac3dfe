"""Files under one folder: the workspace of the execution, or the folder that the toolset's setting `root` names."""

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin.files_opening import explained, opened_file, opened_folder, opened_parent, parts

MAX_BYTES = 1_000_000
MAX_ENTRIES = 1_000
MAX_FOUND = 200
_MAX_SEARCHED_BYTES = 200_000_000
_MAX_LINE_CHARACTERS = 500


class FilesSettings(BaseModel):
    """Settings of the toolset `files`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    root: Annotated[str, StringConstraints(pattern="^/")] | None = None
    """The absolute path of the folder, instead of the workspace of the execution."""

    read_only: StrictBool = False
    """Whether nothing can be changed."""


Context = ToolContext[FilesSettings]
Lines = Annotated[int, Field(ge=1)]

files = Toolset("files", description="Files and folders of the workspace.", settings=FilesSettings)


@files.tool(effect="read")
def list(context: Context, path: str = ".") -> dict[str, object]:  # noqa: A001 - the tool is called files_list
    """List a folder: files with their size in bytes, folders with a trailing /, links and other things with an @."""
    with opened_folder(_root(context), parts(path)) as folder, explained(path), os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
        listed = [_listed(entry) for entry in found[:MAX_ENTRIES]]
    return {"path": path, "entries": listed, "more": max(0, len(found) - MAX_ENTRIES)}


@files.tool(effect="read")
def read(context: Context, path: str, first_line: Lines = 1, lines: Lines | None = None) -> str:
    """Read a text file, or some lines of it."""
    with opened_file(_root(context), path, os.O_RDONLY) as file:
        content = _lines(file, first_line, lines)
    if len(content) > MAX_BYTES:
        raise ToolFailed(f"{path} is larger than {MAX_BYTES} bytes, the most that can be read. Read some lines of it.")
    return content.decode(errors="replace")


@files.tool(effect="read")
def status(context: Context, path: str) -> dict[str, object]:
    """Tell what something is (file, folder, link or other), its size in bytes and when it was changed last."""
    with opened_parent(_root(context), path) as (folder, name), explained(path):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return {
        "path": path,
        "type": _type(found.st_mode),
        "bytes": found.st_size,
        "executable": bool(found.st_mode & stat.S_IXUSR),
        "modified": datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="seconds"),
    }


@files.tool(effect="read")
def search(context: Context, text: str, path: str = ".", names: str = "*") -> dict[str, object]:
    """Find the lines that hold a text, in all files of a folder and below whose name fits, such as *.py."""
    if not text:
        raise ToolFailed("Give the text to look for.")
    with opened_folder(_root(context), parts(path)) as folder:
        found = [*islice(_found(folder, text.encode(), names), MAX_FOUND + 1)]
    return {"found": found[:MAX_FOUND], "more": len(found) > MAX_FOUND}


@files.tool(effect="write", idempotent=True)
def write(context: Context, path: str, content: str) -> dict[str, object]:
    """Write a text file with this content. Creates the file and its folders, or replaces what was in it."""
    _refuse_if_read_only(context)
    data = _bounded(content)
    with opened_file(_root(context), path, os.O_WRONLY | os.O_CREAT, create_folders=True) as file, explained(path):
        os.ftruncate(file, 0)
        _write(file, data)
    return {"path": path, "bytes": len(data)}


@files.tool(effect="write")
def append(context: Context, path: str, content: str) -> dict[str, object]:
    """Add text at the end of a file. Creates the file and its folders if need be."""
    _refuse_if_read_only(context)
    data = _bounded(content)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with opened_file(_root(context), path, flags, create_folders=True) as file, explained(path):
        _write(file, data)
        return {"path": path, "bytes": os.fstat(file).st_size}


@files.tool(effect="write")
def replace(context: Context, path: str, old: str, new: str) -> dict[str, object]:
    """Replace a piece of a text file by another. `old` must be in the file exactly once: give enough around it."""
    _refuse_if_read_only(context)
    with opened_file(_root(context), path, os.O_RDWR) as file, explained(path):
        content = os.read(file, MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ToolFailed(f"{path} is larger than {MAX_BYTES} bytes, the most that can be changed.")
        times = content.count(old.encode()) if old else 0
        if times != 1:
            raise ToolFailed(f"`old` is in {path} {times} times. Give a piece that is there exactly once.")
        data = _bounded(content.replace(old.encode(), new.encode()))
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        _write(file, data)
    return {"path": path, "bytes": len(data)}


@files.tool(effect="write")
def move(context: Context, path: str, to: str) -> dict[str, object]:
    """Move or rename a file or folder. Creates the folders on the way; never replaces a file."""
    _refuse_if_read_only(context)
    root = _root(context)
    with opened_parent(root, path) as (folder, name), opened_parent(root, to, create=True) as (other, new_name):
        with explained(path):
            is_folder = stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        with explained(to):
            if is_folder:
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=other)
            else:
                # A link is refused where something is; a rename would replace it.
                os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)
                os.unlink(name, dir_fd=folder)
    return {"path": to, "moved": True}


@files.tool(effect="destroy", idempotent=True)
def delete(context: Context, path: str, recursive: bool = False) -> dict[str, object]:  # noqa: FBT001, FBT002
    """Delete a file or an empty folder; `recursive`: a folder with everything in it."""
    _refuse_if_read_only(context)
    with opened_parent(_root(context), path) as (folder, name), explained(path):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
        elif recursive:
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.rmdir(name, dir_fd=folder)
    return {"path": path, "deleted": True}


def _root(context: Context) -> Path:
    return Path(context.settings.root or context.workspace)


def _refuse_if_read_only(context: Context) -> None:
    if context.settings.read_only:
        raise ToolFailed("These files are read-only here.")


def _listed(entry: os.DirEntry[str]) -> dict[str, object]:
    name = os.fsencode(entry.name).decode(errors="replace")
    if entry.is_dir(follow_symlinks=False):
        return {"name": f"{name}/"}
    if not entry.is_file(follow_symlinks=False):
        return {"name": f"{name}@"}
    return {"name": name, "bytes": entry.stat(follow_symlinks=False).st_size}


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _bounded(content: str | bytes) -> bytes:
    data = content if isinstance(content, bytes) else content.encode()
    if len(data) > MAX_BYTES:
        raise ToolFailed(f"The content is larger than {MAX_BYTES} bytes, the most that can be written.")
    return data


def _write(file: int, data: bytes) -> None:
    with os.fdopen(os.dup(file), "wb") as stream:
        stream.write(data)


def _lines(file: int, first: int, number: int | None) -> bytes:
    content = bytearray()
    last = None if number is None else first - 1 + number
    with os.fdopen(os.dup(file), "rb") as stream:
        # A line may be as long as the file: it is read in pieces that are no longer than what can be told.
        position = 1
        while (last is None or position <= last) and len(content) <= MAX_BYTES:
            piece = stream.readline(MAX_BYTES + 1)
            if not piece:
                break
            if position >= first:
                content += piece
            position += piece.endswith(b"\n")
    return bytes(content[: MAX_BYTES + 1])


def _found(folder: int, text: bytes, names: str) -> Iterator[dict[str, object]]:
    """Lines with a text below a folder, in the order of their paths."""
    left = _MAX_SEARCHED_BYTES
    for place, folders, found, place_fd in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        folders.sort()
        for name in sorted(one for one in found if fnmatchcase(one, names)):
            path = os.path.normpath(f"{place}/{name}")
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place_fd)
            except OSError:
                continue  # a link, or gone, or not ours to read
            with os.fdopen(file, "rb") as stream:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    continue
                left -= os.fstat(file).st_size
                if left < 0:
                    raise ToolFailed("There is too much to search through. Name a folder below, or narrower names.")
                yield from _in_file(stream, text, path)


def _in_file(stream: BinaryIO, text: bytes, path: str) -> Iterator[dict[str, object]]:
    number = 1
    for line in iter(lambda: stream.readline(MAX_BYTES), b""):
        if b"\0" in line:
            return  # not a text file
        if text in line:
            shown = line.decode(errors="replace").rstrip("\r\n")
            yield {
                "path": os.fsencode(path).decode(errors="replace"),
                "line": number,
                "text": shown[:_MAX_LINE_CHARACTERS],
            }
        number += line.endswith(b"\n")


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `files`."""
    return files
