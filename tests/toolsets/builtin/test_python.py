import sys
from pathlib import Path
from typing import Any

import pytest

from tests.toolsets.builtin.places import in_each_place
from toolsets import ToolFailed
from toolsets.builtin.python import python
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

OFF = {"sandbox": "off"}


def test_it_keeps_the_contract() -> None:
    conforms(python)


def test_code_may_do_anything_so_it_counts_as_a_write() -> None:
    assert {(tool.effect, tool.idempotent) for tool in python.tools.values()} == {("write", False)}


@in_each_place
async def test_code_works_with_the_files_of_the_workspace(place: str, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("WORDS = ['a', 'b']")
    code = "import sys, words\nopen('made', 'w').write('ü')\nprint(words.WORDS, sys.argv[1:])"

    done = await call(python, "run", settings={"sandbox": place}, workspace=tmp_path, code=code, arguments=["-x"])

    assert done == {"exit_code": 0, "stdout": "['a', 'b'] ['-x']\n", "stderr": ""}
    assert (tmp_path / "made").read_text(encoding="utf-8") == "ü"


@in_each_place
async def test_an_error_shows_where_it_is(place: str) -> None:
    done: Any = await call(python, "run", settings={"sandbox": place}, code="a = 1\nraise ValueError('no')")

    assert done["exit_code"] == 1
    assert "line 2" in done["stderr"]
    assert done["stderr"].endswith("ValueError: no\n")


@in_each_place
async def test_a_file_of_the_workspace_is_run(place: str, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/report.py").write_text("import sys\nprint(sys.argv[1], sys.stdin.read())")

    done = await call(
        python,
        "run_file",
        settings={"sandbox": place},
        workspace=tmp_path,
        path="tools/report.py",
        arguments=["a"],
        stdin="b",
    )

    assert done == {"exit_code": 0, "stdout": "a b\n", "stderr": ""}


@pytest.mark.parametrize("path", ["/etc/x.py", "-c", "-m http.server.py", "notes.txt"])
async def test_only_python_files_of_the_workspace_are_run(path: str) -> None:
    with pytest.raises(ToolFailed, match="a file of the workspace that ends in"):
        await call(python, "run_file", settings=OFF, path=path)


@in_each_place
async def test_the_packages_of_the_worker_are_there_only_if_they_are_wanted(place: str) -> None:
    code = "import sys; print(sys.prefix)"

    without: Any = await call(python, "run", settings={"sandbox": place}, code=code)
    having: Any = await call(
        python, "run", settings={"sandbox": place, "packages": True}, code=f"import pydantic; {code}"
    )

    assert without["stdout"] == f"{sys.base_prefix}\n"
    assert having["stdout"] == f"{sys.prefix}\n"


async def test_code_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ToolFailed, match=r"longer than 0\.5 s"):
        await call(python, "run", settings={"sandbox": "off", "timeout_seconds": 0.5}, code="while True: pass")


async def test_a_null_character_is_explained() -> None:
    with pytest.raises(ToolFailed, match="null character"):
        await call(python, "run", settings=OFF, code="", arguments=["\0"])
