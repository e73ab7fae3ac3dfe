"""Whoever types what the documentation says finds that it exists."""

import re

import pytest
import typer

from control_plane.cli import toolset, worker
from control_plane.cli.main import app
from tests.docs.pages import found, text

pytestmark = pytest.mark.unit

TARGETS = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
GROUP = typer.main.get_group(app)
WORKER = typer.main.get_group(worker.app)
TOOLSET = typer.main.get_group(toolset.app)
COMMANDS = (GROUP, *GROUP.commands.values(), *WORKER.commands.values(), *TOOLSET.commands.values())
OPTIONS = {"--help"} | {option for command in COMMANDS for one in command.params for option in one.opts}
MARKS = set(re.findall(r'^  "(\w+): ', text("pyproject.toml"), re.MULTILINE))

MAKE = found(r"(?:`|^|\$ )make ([a-z]+)")
CONTROL_PLANE = found(r"(?:`|\n)control-plane ([a-z][a-z-]*)")
OF_WORKERS = found(r"(?:`|\n)control-plane worker ([a-z]+)")
OF_TOOLSETS = found(r"(?:`|\n)control-plane toolset ([a-z]+)")
SETTABLE = found(r"control-plane [a-z]*[^`\n]*?(--[a-z-]+)")
KINDS = found(r"pytest -m (\w+)")


def test_commands_are_found_in_the_pages() -> None:
    assert {"demo", "test", "bench", "lock"} <= {target for _, target in MAKE}
    assert {"dev", "run", "keys", "doctor", "migrate"} <= {command for _, command in CONTROL_PLANE}
    assert {"start", "stop", "drain", "status", "logs"} <= {command for _, command in OF_WORKERS}
    assert {"new", "list", "test", "schema"} <= {command for _, command in OF_TOOLSETS}
    assert {"--follow", "--version"} <= {option for _, option in SETTABLE}
    assert KINDS


@pytest.mark.parametrize(("page", "target"), MAKE)
def test_a_make_target_that_a_page_names_exists(page: str, target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize(("page", "command"), CONTROL_PLANE)
def test_a_command_that_a_page_names_exists(page: str, command: str) -> None:
    assert command in GROUP.commands


@pytest.mark.parametrize(("page", "command"), OF_WORKERS)
def test_a_command_for_workers_that_a_page_names_exists(page: str, command: str) -> None:
    assert command in WORKER.commands


@pytest.mark.parametrize(("page", "command"), OF_TOOLSETS)
def test_a_command_for_toolsets_that_a_page_names_exists(page: str, command: str) -> None:
    assert command in TOOLSET.commands


@pytest.mark.parametrize(("page", "option"), SETTABLE)
def test_an_option_that_a_page_names_exists(page: str, option: str) -> None:
    assert option in OPTIONS


@pytest.mark.parametrize(("page", "kind"), KINDS)
def test_a_kind_of_tests_that_a_page_names_exists(page: str, kind: str) -> None:
    assert kind in MARKS


def test_every_make_target_is_explained_to_contributors() -> None:
    explained = set(re.findall(r"^\| `make ([a-z]+)` \|", text("CONTRIBUTING.md"), re.MULTILINE))

    assert TARGETS - explained == {"help"}


def test_every_command_is_named_in_the_readme_or_the_settings() -> None:
    named = {command for page, command in CONTROL_PLANE if page in {"README.md", "docs/settings.md"}}

    assert set(GROUP.commands) - named == set()
