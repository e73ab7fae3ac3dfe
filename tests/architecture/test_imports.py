"""Which part may know which: read by import-linter, and really tried in a fresh interpreter."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SERVER_PARTS = {"sqlalchemy", "alembic", "psycopg", "fastapi", "authlib"}
PACKAGES = ["control_plane", "deployments", "flows", "migrations", "policies", "toolsets", "workpools"]


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in a fresh interpreter after the statement."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(answer.stdout.split())


def modules_below(*folders: str) -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    )


def test_the_import_contracts_hold() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize("folder", ["flows", "toolsets", "policies", "workpools", "control_plane/wire"])
def test_worker_side_code_loads_nothing_of_the_server(folder: str) -> None:
    statement = "import " + ", ".join(modules_below(folder))

    assert loaded_by(statement) & SERVER_PARTS == set()


def test_the_client_loads_nothing_of_the_server_and_no_engine() -> None:
    assert loaded_by("import control_plane.client") & (SERVER_PARTS | {"prefect", "litellm", "agno"}) == set()


def test_the_command_line_begins_without_anything_heavy() -> None:
    heavy = {"prefect", "litellm", "agno", "openai", "sqlalchemy", "fastapi", "alembic"}

    assert loaded_by("import control_plane.cli") & heavy == set()


def test_the_api_begins_without_the_libraries_of_agents() -> None:
    assert loaded_by("import control_plane.api") & {"litellm", "agno", "openai"} == set()


def test_the_seven_packages_are_named_once_and_all_lists_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]

    assert sorted(project["hatch"]["build"]["targets"]["wheel"]["packages"]) == PACKAGES
    assert sorted(project["importlinter"]["root_packages"]) == PACKAGES
    assert sorted(set(project["mypy"]["packages"]) - {"benchmarks", "docs.reference"}) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_a_package_of_its_own(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()


def test_every_subject_of_the_control_plane_stands_in_the_import_contract() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip() for layer in layers for name in re.split("[|:]", layer)}
    subjects = {f"control_plane.{path.parent.name}" for path in (ROOT / "control_plane").glob("*/__init__.py")}

    assert subjects <= named
