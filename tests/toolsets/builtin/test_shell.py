from pathlib import Path
from typing import Any

import pytest

from tests.toolsets.builtin.places import in_each_place
from toolsets import SettingsInvalid, ToolFailed
from toolsets.builtin.shell import shell
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

OFF = {"sandbox": "off"}


def test_it_keeps_the_contract() -> None:
    conforms(shell)


def test_a_command_may_do_anything_so_it_counts_as_a_write() -> None:
    [run] = shell.tools.values()

    assert (run.effect, run.idempotent) == ("write", False)


@in_each_place
@pytest.mark.parametrize(
    "command", [["echo", "a  b", "$HOME", "*"], "echo 'a  b' $HOME '*'", "/bin/echo 'a  b' $HOME *"]
)
async def test_a_program_gets_its_arguments_as_they_are(place: str, command: str | list[str]) -> None:
    done = await call(shell, "run", settings={"sandbox": place}, command=command)

    assert done == {"exit_code": 0, "stdout": "a  b $HOME *\n", "stderr": ""}


@in_each_place
async def test_a_program_runs_in_a_folder_of_the_workspace(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    done = await call(
        shell,
        "run",
        settings={"sandbox": place},
        workspace=tmp_path,
        command="tee made",
        folder="folder",
        stdin="what is asked",
    )

    assert done == {"exit_code": 0, "stdout": "what is asked", "stderr": ""}
    assert (tmp_path / "folder/made").read_text() == "what is asked"


@in_each_place
async def test_a_script_of_the_workspace_runs(place: str, tmp_path: Path) -> None:
    (tmp_path / "build.sh").write_text("#!/bin/sh\necho built; exit 3\n")
    (tmp_path / "build.sh").chmod(0o755)

    done = await call(shell, "run", settings={"sandbox": place}, workspace=tmp_path, command="./build.sh")

    assert done == {"exit_code": 3, "stdout": "built\n", "stderr": ""}


@pytest.mark.parametrize(
    "line",
    [
        "echo a | cat",
        "echo a;id",
        "echo a && id",
        "echo a&",
        "echo a>file",
        "cat <file",
        "echo $(id)",
        "echo `id`",
        "(id)",
    ],
)
async def test_a_line_for_a_shell_is_refused_where_there_is_none(tmp_path: Path, line: str) -> None:
    with pytest.raises(ToolFailed, match="There is no shell here"):
        await call(shell, "run", settings=OFF, workspace=tmp_path, command=line)

    assert not (tmp_path / "file").exists()


async def test_what_means_something_to_a_shell_can_be_quoted() -> None:
    done = await call(shell, "run", settings=OFF, command="echo 'a;b|c' \"(d)\"")

    assert done == {"exit_code": 0, "stdout": "a;b|c (d)\n", "stderr": ""}


@in_each_place
async def test_a_shell_interprets_a_line_where_it_is_allowed(place: str, tmp_path: Path) -> None:
    settings = {"sandbox": place, "allow_shell": True}

    done = await call(shell, "run", settings=settings, workspace=tmp_path, command="echo a >f && cat f | tr a b")

    assert done == {"exit_code": 0, "stdout": "b\n", "stderr": ""}


ALLOWED = {"sandbox": "off", "allowed_commands": ["echo", "git log", "/usr/bin/id"]}


@pytest.mark.parametrize("command", ["echo a", "/bin/echo a", ["/usr/bin/echo", "a"], "id -u", "git log -1"])
async def test_an_allowed_command_runs(command: str | list[str]) -> None:
    done: Any = await call(shell, "run", settings=ALLOWED, command=command)

    assert set(done) == {"exit_code", "stdout", "stderr"}


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/passwd",
        "git push",
        "git",
        "git -c alias.log=!id log",
        "env echo",
        "sh -c echo",
        "./echo",
        "folder/../echo",
        "/usr/bin/../bin/cat /etc/passwd",
        ["./id"],
        ["{workspace}/echo"],
        ["echo/../../bin/sh"],
    ],
)
async def test_any_other_command_is_refused_however_it_is_called(tmp_path: Path, command: str | list[str]) -> None:
    (tmp_path / "echo").symlink_to("/bin/sh")
    (tmp_path / "id").write_text("#!/bin/sh\ntouch hit\n")
    (tmp_path / "id").chmod(0o755)
    called = command if isinstance(command, str) else [part.format(workspace=tmp_path) for part in command]

    with pytest.raises(ToolFailed, match=r"may not be run here\. Allowed are: echo, git log"):
        await call(shell, "run", settings=ALLOWED, workspace=tmp_path, command=called)

    assert not (tmp_path / "hit").exists()


async def test_nothing_runs_where_nothing_is_allowed() -> None:
    with pytest.raises(ToolFailed, match="Allowed are: none"):
        await call(shell, "run", settings={"sandbox": "off", "allowed_commands": []}, command="echo a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allowed_commands": ["echo"], "allow_shell": True}, "a shell can start any program"),
        ({"denied_commands": ["curl"], "sandbox": "off"}, "hidden by the sandbox"),
        ({"allowed_commands": [""]}, "must name a program"),
        ({"allowed_commands": ["echo 'a"]}, "allowed_commands"),
        ({"sandbox": "maybe"}, "sandbox"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_promise_what_is_not_kept_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        shell.configured(settings)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "empty"),
        ([], "empty"),
        ([""], "empty"),
        ("echo 'a", "can't be split"),
        (["echo", "a\0b"], "null character"),
        ("nothing-of-that-name", "no program"),
    ],
)
async def test_a_command_that_is_none_is_explained(command: str | list[str], message: str) -> None:
    with pytest.raises(ToolFailed, match=message):
        await call(shell, "run", settings=OFF, command=command)


async def test_a_call_may_ask_for_less_time_but_not_for_more() -> None:
    settings = {"sandbox": "off", "timeout_seconds": 0.3}

    with pytest.raises(ToolFailed, match=r"longer than 0\.1 s"):
        await call(shell, "run", settings=settings, command="sleep 60", timeout_seconds=0.1)
    with pytest.raises(ToolFailed, match=r"longer than 0\.3 s"):
        await call(shell, "run", settings=settings, command="sleep 60", timeout_seconds=1000)


async def test_another_root_is_worked_in(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()

    done = await call(shell, "run", settings={"sandbox": "off", "root": str(tmp_path / "shared")}, command="pwd")

    assert done == {"exit_code": 0, "stdout": f"{tmp_path}/shared\n", "stderr": ""}
