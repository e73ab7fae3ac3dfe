import subprocess
import sys
from pathlib import Path

import pytest

from control_plane import install_command
from control_plane.cli import doctor
from control_plane.cli.doctor import Wrong, checks
from control_plane.embedded.programs import program
from tests.conftest import TestDatabase

pytestmark = pytest.mark.integration


def look(subject: str, data: Path | None = None) -> str:
    [check] = [check for check in checks(data) if check.subject == subject]
    return check.look()


def run_doctor(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("control-plane"), "doctor", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin"} | environment,
    )


def test_a_complete_installation_is_in_place(tmp_path: Path) -> None:
    done = run_doctor(tmp_path)

    assert done.returncode == 0, done.stdout
    assert "Everything is in place." in done.stdout
    assert "extra [worker]" in done.stdout
    assert "agno, claude_code, openai" in done.stdout


def test_a_runtime_that_is_not_installed_is_told_and_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    monkeypatch.delitem(sys.modules, "flows.runtimes.claude_code", raising=False)

    assert look("runtimes") == "agno, claude_code not installed, openai"


def test_a_folder_that_hides_a_package_of_ours_is_told(tmp_path: Path) -> None:
    hiding = tmp_path / "hiding" / "flows"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("")

    done = run_doctor(tmp_path / "data", PYTHONPATH=str(hiding.parent))

    assert done.returncode == 1
    assert f"`import flows` finds {hiding.parent} instead of our own." in done.stdout
    assert "unset PYTHONPATH" in done.stdout
    assert "1 to mend." in done.stdout


def test_a_missing_extra_is_told_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "embedded", ("no_such_package",))

    with pytest.raises(Wrong, match="no_such_package not installed") as wrong:
        look("extra [embedded]")

    assert wrong.value.remedy == install_command("embedded")


def test_a_data_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Wrong, match="can't be written to"):
        look("data folder", tmp_path / "file" / "data")


def test_looking_changes_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    look("data folder", tmp_path)
    look("data folder", tmp_path / "none" / "yet")

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == []


def test_a_migrated_database_is_recognised(test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", test_database.url)

    assert look("database").endswith(", migrated")


def test_a_database_without_tables_is_told(empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.url)

    with pytest.raises(Wrong, match="no tables of ours") as wrong:
        look("database")

    assert wrong.value.remedy == "Run control-plane migrate."


def test_a_database_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/nowhere")

    with pytest.raises(Wrong, match="doesn't answer") as wrong:
        look("database")

    assert "secret" not in str(wrong.value)
