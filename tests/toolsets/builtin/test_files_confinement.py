import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.toolsets.builtin.conftest import CallFiles
from toolsets import ToolContext, ToolFailed

pytestmark = pytest.mark.unit

PATHS_OUT = [
    "..",
    "../outside/secret.txt",
    "a/../../outside/secret.txt",
    "a/..",
    "/etc/passwd",
    "//etc/passwd",
    "a\0b",
]
ARGUMENTS: dict[str, dict[str, object]] = {
    "list": {},
    "read": {},
    "status": {},
    "search": {"text": "secret"},
    "write": {"content": "changed"},
    "append": {"content": "changed"},
    "replace": {"old": "secret", "new": "changed"},
    "move": {"to": "inside"},
    "delete": {},
}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("path", PATHS_OUT)
async def test_a_path_that_leads_out_is_refused(call_files: CallFiles, outside: Path, name: str, path: str) -> None:
    with pytest.raises(ToolFailed, match="leads out of the folder"):
        await call_files(name, path=path, **ARGUMENTS[name])

    assert (outside / "secret.txt").read_text() == "a secret"


@pytest.mark.parametrize("path", PATHS_OUT)
async def test_nothing_is_moved_out(call_files: CallFiles, context: ToolContext, path: str) -> None:
    (context.workspace / "file").write_text("mine")

    with pytest.raises(ToolFailed, match="leads out of the folder"):
        await call_files("move", path="file", to=path)

    assert (context.workspace / "file").read_text() == "mine"


async def test_a_link_is_moved_as_a_link(call_files: CallFiles, context: ToolContext, outside: Path) -> None:
    (context.workspace / "link").symlink_to(outside / "secret.txt")

    await call_files("move", path="link", to="other")

    assert (context.workspace / "other").readlink() == outside / "secret.txt"


async def test_a_search_does_not_follow_links(call_files: CallFiles, context: ToolContext, outside: Path) -> None:
    (context.workspace / "link").symlink_to(outside)
    (context.workspace / "file").symlink_to(outside / "secret.txt")

    found = await call_files("search", text="secret")

    assert found == {"found": [], "more": False}


async def test_deleting_a_folder_does_not_follow_links(
    call_files: CallFiles, context: ToolContext, outside: Path
) -> None:
    (context.workspace / "folder").mkdir()
    (context.workspace / "folder/link").symlink_to(outside)

    await call_files("delete", path="folder", recursive=True)

    assert not (context.workspace / "folder").exists()
    assert (outside / "secret.txt").read_text() == "a secret"


@pytest.mark.parametrize("name", ["read", "write", "append", "replace"])
async def test_a_link_to_a_file_is_not_followed(
    call_files: CallFiles, context: ToolContext, outside: Path, name: str
) -> None:
    (context.workspace / "link").symlink_to(outside / "secret.txt")

    with pytest.raises(ToolFailed, match="links are not followed"):
        await call_files(name, path="link", **ARGUMENTS[name])

    assert (outside / "secret.txt").read_text() == "a secret"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("list", "link"),
        ("read", "link/secret.txt"),
        ("write", "link/secret.txt"),
        ("write", "link/new/file.txt"),
        ("append", "link/secret.txt"),
        ("replace", "link/secret.txt"),
        ("status", "link/secret.txt"),
        ("search", "link"),
        ("move", "link/secret.txt"),
        ("delete", "link/secret.txt"),
    ],
)
async def test_a_link_to_a_folder_is_not_followed(
    call_files: CallFiles, context: ToolContext, outside: Path, name: str, path: str
) -> None:
    (context.workspace / "link").symlink_to(outside)

    with pytest.raises(ToolFailed, match="links are not followed"):
        await call_files(name, path=path, **ARGUMENTS[name])

    assert os.listdir(outside) == ["secret.txt"]  # noqa: PTH208 - a list is what is compared
    assert (outside / "secret.txt").read_text() == "a secret"


async def test_deleting_a_link_leaves_what_it_points_to(
    call_files: CallFiles, context: ToolContext, outside: Path
) -> None:
    (context.workspace / "link").symlink_to(outside / "secret.txt")

    await call_files("delete", path="link")

    assert (outside / "secret.txt").read_text() == "a secret"
    assert not (context.workspace / "link").is_symlink()


@contextmanager
def swapping(place: Path, *, link_to: Path) -> Iterator[None]:
    """Make `place` a folder and a link in turns, as fast as can be."""
    aside = place.with_name("aside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            place.rename(aside)
            place.symlink_to(link_to)
            place.unlink()
            aside.rename(place)

    place.mkdir()
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        stop.set()
        swapper.join()


async def test_a_link_swapped_in_meanwhile_leads_nowhere(
    call_files: CallFiles, context: ToolContext, outside: Path
) -> None:
    async def attempt(name: str, path: str) -> str:
        with suppress(ToolFailed):
            return str(await call_files(name, path=path, **ARGUMENTS[name]))
        return ""

    with swapping(context.workspace / "place", link_to=outside):
        read = [await attempt("read", "place/secret.txt") for _ in range(300)]
        listed = [await attempt("list", "place") for _ in range(300)]
        deleted = [await attempt("delete", "place/secret.txt") for _ in range(300)]

    assert set(read) == {""}
    assert set(deleted) == {""}
    assert not [answer for answer in listed if "secret" in answer]
    assert (outside / "secret.txt").read_text() == "a secret"


@pytest.mark.parametrize("name", ["read", "write"])
async def test_a_named_pipe_is_refused_at_once(call_files: CallFiles, context: ToolContext, name: str) -> None:
    os.mkfifo(context.workspace / "pipe")

    async with asyncio.timeout(10):
        with pytest.raises(ToolFailed, match="pipe"):
            await call_files(name, path="pipe", **ARGUMENTS[name])


async def test_a_named_pipe_that_is_read_elsewhere_is_not_written(call_files: CallFiles, context: ToolContext) -> None:
    os.mkfifo(context.workspace / "pipe")
    reader = os.open(context.workspace / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(ToolFailed, match="is not a regular file"):
        await call_files("write", path="pipe", content="leak")

    assert os.read(reader, 10) == b""
    os.close(reader)


def open_files() -> int:
    return len([*Path("/dev/fd").iterdir()])


async def test_failed_calls_leave_no_open_files(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "folder").mkdir()
    before = open_files()

    for _ in range(50):
        with pytest.raises(ToolFailed):
            await call_files("read", path="folder")
        with pytest.raises(ToolFailed):
            await call_files("read", path="folder/nothing/at/all")

    assert open_files() <= before + 5
