"""`control-plane toolset`, and that what it makes and what we show as an example work once they are installed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from control_plane.cli.failures import Failure
from control_plane.cli.main import app
from control_plane.cli.toolset_new import make

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples" / "toolset_weather"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["toolset", *arguments])
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def installed(project: Path, into: Path) -> dict[str, str]:
    """Build a wheel and lay it out as pip would; the environment of a process that has it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(build, cwd=project, check=True, capture_output=True, timeout=120)
    [wheel] = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return os.environ | {"PYTHONPATH": str(into), "PYTHONDONTWRITEBYTECODE": "1"}


def asked(environment: dict[str, str], *arguments: str) -> str:
    program = [sys.executable, "-c", "from control_plane.cli.main import main; main()", "toolset", *arguments]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return ran.stdout + ran.stderr


def outcome(project: Path, environment: dict[str, str]) -> str:
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    ran = subprocess.run(
        program, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return ran.stdout


def test_a_new_toolset_is_a_package_that_passes_its_own_tests(tmp_path: Path) -> None:
    code, told = run("new", "desk_lamp", "--into", str(tmp_path))
    project = tmp_path / "toolset-desk-lamp"
    environment = installed(project, tmp_path / "site")

    assert (code, f"pytest {project}" in told) == (0, True)
    assert "3 passed" in outcome(project, environment)
    assert "desk_lamp keeps the contract of toolsets: 1 tools" in asked(environment, "test", "desk_lamp")


def test_the_example_is_a_package_that_passes_its_own_tests(tmp_path: Path) -> None:
    project = tmp_path / "toolset_weather"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    environment = installed(project, tmp_path / "site")

    assert "17 passed" in outcome(project, environment)
    listed = asked(environment, "list")
    assert "toolset-weather 0.1.0  weather_current (read), weather_wind_chill (read)" in listed


@pytest.mark.parametrize("name", ["Lamp", "desk-lamp", "../lamp", "", "l" * 32])
def test_a_name_that_no_toolset_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failure, match="lower-case letters, digits and underscores"):
        make(name, into=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_toolset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="A toolset clock is installed here already"):
        make("clock", into=tmp_path)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    make("lamp", into=tmp_path)
    (tmp_path / "toolset-lamp" / "README.md").write_text("mine")

    with pytest.raises(Failure, match="is there already"):
        make("lamp", into=tmp_path)

    assert (tmp_path / "toolset-lamp" / "README.md").read_text() == "mine"


def test_installed_toolsets_are_listed_and_a_broken_one_says_why(tmp_path: Path) -> None:
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toolset-broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[control_plane.toolsets]\nbroken = no_such_module_of_ours\n")

    told = asked(os.environ | {"PYTHONPATH": str(tmp_path)}, "list")

    assert "✓ clock" in told
    assert "✗ broken          toolset-broken 1.0  ModuleNotFoundError: No module named 'no_such_module_of_ours'" in told


def test_schemas_are_printed_as_json() -> None:
    code, told = run("schema", "files")

    shown = json.loads(told)
    assert code == 0
    assert "read_only" in shown["settings"]["properties"]
    assert shown["tools"]["files_read"]["effect"] == "read"


def test_a_toolset_that_is_not_installed_is_said_so() -> None:
    code, told = run("schema", "nothing_of_ours")

    assert (code, "is not installed" in told) == (1, True)


def test_settings_that_do_not_fit_break_the_contract(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"roof": "/srv"}')

    code, told = run("test", "files", "--settings", str(settings))

    assert code == 1
    assert "roof: Extra inputs are not permitted" in told


@pytest.mark.parametrize("text", ["[]", "{"])
def test_settings_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(text)

    code, told = run("test", "files", "--settings", str(settings))

    assert (code, "settings.json" in told) == (1, True)
