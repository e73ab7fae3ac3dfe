import os
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.toolsets.builtin.conftest import CallFiles
from toolsets import SettingsInvalid, ToolContext, ToolFailed
from toolsets.builtin.files import MAX_BYTES, MAX_ENTRIES, files

pytestmark = pytest.mark.unit


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {tool.name: (tool.effect, tool.idempotent) for tool in files.tools.values()}

    assert effects == {
        "files_list": ("read", True),
        "files_read": ("read", True),
        "files_status": ("read", True),
        "files_search": ("read", True),
        "files_write": ("write", True),
        "files_append": ("write", False),
        "files_replace": ("write", False),
        "files_move": ("write", False),
        "files_delete": ("destroy", True),
    }


async def test_what_was_written_is_read(call_files: CallFiles, context: ToolContext) -> None:
    written = await call_files("write", path="a/b/notes.txt", content="Grüße")

    assert written == {"path": "a/b/notes.txt", "bytes": 7}
    assert await call_files("read", path="a/b/notes.txt") == "Grüße"
    assert (context.workspace / "a/b/notes.txt").read_text(encoding="utf-8") == "Grüße"


async def test_writing_replaces_all_of_a_longer_file(call_files: CallFiles) -> None:
    await call_files("write", path="notes.txt", content="a long story")
    await call_files("write", path="notes.txt", content="short")

    assert await call_files("read", path="notes.txt") == "short"


async def test_a_folder_is_listed_in_order(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "b.txt").write_text("four")
    (context.workspace / "a").mkdir()
    (context.workspace / "c").symlink_to("b.txt")

    listed = await call_files("list")

    assert listed == {
        "path": ".",
        "entries": [{"name": "a/"}, {"name": "b.txt", "bytes": 4}, {"name": "c@"}],
        "more": 0,
    }


async def test_a_name_that_is_not_text_does_not_break_a_list(call_files: CallFiles, context: ToolContext) -> None:
    os.close(os.open(os.fsencode(context.workspace) + b"/\xff.txt", os.O_CREAT | os.O_WRONLY))

    listed = await call_files("list")

    assert listed == {"path": ".", "entries": [{"name": "\ufffd.txt", "bytes": 0}], "more": 0}


async def test_a_huge_folder_is_listed_in_part(call_files: CallFiles, context: ToolContext) -> None:
    for number in range(MAX_ENTRIES + 3):
        (context.workspace / f"{number:04}").touch()

    listed = await call_files("list")

    assert isinstance(listed, dict)
    assert len(str(listed["entries"]).split("name")) - 1 == MAX_ENTRIES
    assert listed["more"] == 3


async def test_a_file_is_deleted(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "notes.txt").touch()

    await call_files("delete", path="notes.txt")

    assert list(context.workspace.iterdir()) == []


async def test_what_is_not_text_in_a_file_is_replaced(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "image").write_bytes(b"PNG\xff\x00!")

    assert await call_files("read", path="image") == "PNG\ufffd\ufffd!"


async def test_a_file_that_is_too_large_is_not_read(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "large").write_bytes(b"x" * (MAX_BYTES + 1))

    with pytest.raises(ToolFailed, match="larger than"):
        await call_files("read", path="large")


async def test_a_content_that_is_too_large_changes_nothing(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "notes.txt").write_text("before")

    with pytest.raises(ToolFailed, match="larger than"):
        await call_files("write", path="notes.txt", content="x" * (MAX_BYTES + 1))

    assert (context.workspace / "notes.txt").read_text() == "before"


async def test_a_disk_that_refuses_is_explained(call_files: CallFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", full)

    with pytest.raises(ToolFailed, match=r"notes\.txt No space left on device"):
        await call_files("write", path="notes.txt", content="x")


async def test_read_only_files_can_not_be_changed(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "notes.txt").write_text("before")
    settings: dict[str, JsonValue] = {"read_only": True}

    with pytest.raises(ToolFailed, match="read-only"):
        await call_files("write", path="notes.txt", content="after", settings=settings)
    with pytest.raises(ToolFailed, match="read-only"):
        await call_files("delete", path="notes.txt", settings=settings)

    assert await call_files("read", path="notes.txt", settings=settings) == "before"


@pytest.mark.parametrize("read_only", ["true", "false", 1, None])
def test_what_is_no_boolean_does_not_make_files_writable_by_mistake(read_only: object) -> None:
    with pytest.raises(SettingsInvalid, match="read_only: "):
        files.configured({"read_only": read_only})


async def test_the_root_can_be_another_folder(call_files: CallFiles, outside: Path) -> None:
    content = await call_files("read", path="secret.txt", settings={"root": str(outside), "read_only": False})

    assert content == "a secret"


@pytest.mark.parametrize("root", ["", ".", "relative/folder", 7])
def test_a_root_that_is_not_an_absolute_path_is_refused(root: object) -> None:
    with pytest.raises(SettingsInvalid, match="root: "):
        files.configured({"root": root})


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("read", "nothing.txt", "does not exist"),
        ("delete", "nothing.txt", "does not exist"),
        ("list", "nothing", "does not exist"),
        ("list", "file", "is not a folder"),
        ("read", "file/inner", "is not a folder"),
        ("read", "folder", "is not a regular file"),
        ("read", "", "Name a file"),
        ("read", ".", "Name a file"),
        ("delete", "./.", "Name a file"),
        ("read", "x" * 300, "File name too long"),
    ],
)
async def test_what_is_not_there_or_not_a_file_is_explained(
    call_files: CallFiles, context: ToolContext, name: str, path: str, message: str
) -> None:
    (context.workspace / "file").touch()
    (context.workspace / "folder").mkdir()

    with pytest.raises(ToolFailed, match=message):
        await call_files(name, path=path)
