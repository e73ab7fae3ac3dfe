from typing import Any

import pytest

from tests.toolsets.builtin.conftest import CallFiles
from toolsets import ToolContext, ToolFailed
from toolsets.builtin import files as module
from toolsets.builtin.files import MAX_FOUND, files
from toolsets.testing import conforms

pytestmark = pytest.mark.unit


def test_it_keeps_the_contract() -> None:
    conforms(files)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ({"first_line": 2}, "two\nthree"),
        ({"first_line": 2, "lines": 1}, "two\n"),
        ({"lines": 2}, "one\ntwo\n"),
        ({"first_line": 9}, ""),
    ],
)
async def test_some_lines_of_a_file_are_read(call_files: CallFiles, arguments: dict[str, int], lines: str) -> None:
    await call_files("write", path="a.txt", content="one\ntwo\nthree")

    assert await call_files("read", path="a.txt", **arguments) == lines


async def test_some_lines_of_a_file_are_read_that_is_too_large(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "large").write_text("x" * 3_000_000 + "\nsecond\n")

    assert await call_files("read", path="large", first_line=2) == "second\n"
    with pytest.raises(ToolFailed, match="larger than"):
        await call_files("read", path="large", lines=1)


async def test_what_something_is_can_be_asked(call_files: CallFiles, context: ToolContext) -> None:
    (context.workspace / "folder").mkdir()
    (context.workspace / "run.sh").write_text("#!/bin/sh\n")
    (context.workspace / "run.sh").chmod(0o755)

    file: Any = await call_files("status", path="run.sh")
    folder: Any = await call_files("status", path="folder")

    assert (file["type"], file["bytes"], file["executable"]) == ("file", 10, True)
    assert file["modified"].endswith("+00:00")
    assert folder["type"] == "folder"


async def test_text_is_found_in_files_that_fit(call_files: CallFiles, context: ToolContext) -> None:
    await call_files("write", path="b/two.py", content="x = 1\nneedle = 2\n")
    await call_files("write", path="a.py", content="needle")
    await call_files("write", path="a.txt", content="needle")
    (context.workspace / "binary.py").write_bytes(b"\0needle")

    found = await call_files("search", text="needle", names="*.py")

    assert found == {
        "found": [
            {"path": "a.py", "line": 1, "text": "needle"},
            {"path": "b/two.py", "line": 2, "text": "needle = 2"},
        ],
        "more": False,
    }


async def test_what_is_found_is_bounded(
    call_files: CallFiles, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context.workspace / "many").write_text("needle\n" * (MAX_FOUND + 1))

    found: Any = await call_files("search", text="needle")
    monkeypatch.setattr(module, "_MAX_SEARCHED_BYTES", 100)

    assert (len(found["found"]), found["more"]) == (MAX_FOUND, True)
    with pytest.raises(ToolFailed, match="too much to search through"):
        await call_files("search", text="needle")


async def test_text_is_added_at_the_end(call_files: CallFiles) -> None:
    await call_files("append", path="a/log.txt", content="one\n")
    added = await call_files("append", path="a/log.txt", content="two\n")

    assert added == {"path": "a/log.txt", "bytes": 8}
    assert await call_files("read", path="a/log.txt") == "one\ntwo\n"


async def test_a_piece_is_replaced(call_files: CallFiles) -> None:
    await call_files("write", path="a.txt", content="one long two")

    replaced = await call_files("replace", path="a.txt", old="long ", new="")

    assert replaced == {"path": "a.txt", "bytes": 7}
    assert await call_files("read", path="a.txt") == "one two"


@pytest.mark.parametrize(("old", "times"), [("a", 2), ("z", 0), ("", 0)])
async def test_a_piece_that_is_not_there_exactly_once_changes_nothing(
    call_files: CallFiles, old: str, times: int
) -> None:
    await call_files("write", path="a.txt", content="a b a")

    with pytest.raises(ToolFailed, match=f"{times} times"):
        await call_files("replace", path="a.txt", old=old, new="x")

    assert await call_files("read", path="a.txt") == "a b a"


async def test_files_and_folders_are_moved(call_files: CallFiles, context: ToolContext) -> None:
    await call_files("write", path="a/one.txt", content="1")

    await call_files("move", path="a/one.txt", to="b/c/two.txt")
    await call_files("move", path="b", to="d")

    assert (context.workspace / "d/c/two.txt").read_text() == "1"
    assert sorted(path.name for path in context.workspace.iterdir()) == ["a", "d"]


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        ("file", "other", "exists already"),
        ("file", "folder", "exists already"),
        ("folder", "file", "is not a folder"),
        ("folder", "folder/inner", "Invalid argument"),
        ("folder", "full", "is not empty"),
        ("nothing", "x", "does not exist"),
    ],
)
async def test_nothing_is_replaced_by_moving(
    call_files: CallFiles, context: ToolContext, path: str, to: str, message: str
) -> None:
    await call_files("write", path="file", content="file")
    await call_files("write", path="other", content="other")
    await call_files("write", path="full/inside", content="inside")
    (context.workspace / "folder").mkdir()

    with pytest.raises(ToolFailed, match=message):
        await call_files("move", path=path, to=to)

    assert (context.workspace / "other").read_text() == "other"
    assert (context.workspace / "full/inside").read_text() == "inside"


async def test_a_folder_is_deleted_with_what_is_in_it_only_if_that_is_said(
    call_files: CallFiles, context: ToolContext
) -> None:
    await call_files("write", path="full/inside", content="1")
    (context.workspace / "empty").mkdir()

    await call_files("delete", path="empty")
    with pytest.raises(ToolFailed, match="is not empty"):
        await call_files("delete", path="full")
    await call_files("delete", path="full", recursive=True)

    assert list(context.workspace.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("append", {"path": "notes.txt", "content": "x"}),
        ("replace", {"path": "notes.txt", "old": "before", "new": "x"}),
        ("move", {"path": "notes.txt", "to": "x"}),
        ("delete", {"path": "notes.txt"}),
        ("write", {"path": "new.txt", "content": "x"}),
    ],
)
async def test_nothing_changes_where_files_are_read_only(
    call_files: CallFiles, context: ToolContext, name: str, arguments: dict[str, str]
) -> None:
    (context.workspace / "notes.txt").write_text("before")

    with pytest.raises(ToolFailed, match="read-only"):
        await call_files(name, settings={"read_only": True}, **arguments)

    assert [path.read_text() for path in context.workspace.iterdir()] == ["before"]
