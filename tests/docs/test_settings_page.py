"""docs/settings.md tells of every setting, with its real default, and of none that doesn't exist."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from control_plane.settings import Settings
from tests.docs.pages import ROOT, found, text
from workpools.settings import WorkerSettings

pytestmark = pytest.mark.unit

ROWS = re.findall(r"^\| `(CONTROL_PLANE_\w+)` \| (\S+) \| .+ \|$", text("docs/settings.md"), re.MULTILINE)
DEFAULTS = [(name, default.strip("`")) for name, default in ROWS if default.startswith("`")]
NAMED = found(r"(CONTROL_PLANE_[A-Z_]+)")
FIELDS = {f"CONTROL_PLANE_{name.upper()}": field for name, field in Settings.model_fields.items()}
WORKERS = {f"CONTROL_PLANE_WORKER_{name.upper()}" for name in WorkerSettings.model_fields}
ELSEWHERE = {
    name
    for folder in ("control_plane/cli", "control_plane/wire", "flows", "workpools")
    for path in (ROOT / folder).glob("*.py")
    for name in re.findall(r'"(CONTROL_PLANE_[A-Z_]+[A-Z])"', path.read_text(encoding="utf-8"))
}
"""What the command line and workers read besides the settings of the API server."""


def test_the_page_has_a_row_for_every_setting_and_no_other() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(FIELDS)


@pytest.mark.parametrize(("name", "default"), DEFAULTS)
def test_a_default_is_as_the_page_says(name: str, default: str) -> None:
    kind: Any = FIELDS[name].annotation

    read = TypeAdapter[object](kind).validate_python(default)

    assert read == FIELDS[name].default


def test_what_the_page_calls_required_and_what_it_calls_unset_is() -> None:
    required = {name for name, field in FIELDS.items() if field.is_required()}
    unset = {name for name, field in FIELDS.items() if field.default is None}

    assert {name for name, default in ROWS if default == "required"} == required
    assert {name for name, default in ROWS if default == "none"} == unset


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_a_variable_that_a_page_names_is_read_by_the_product(page: str, name: str) -> None:
    assert name in FIELDS.keys() | ELSEWHERE | WORKERS


def test_every_setting_of_a_worker_is_documented() -> None:
    assert {name for page, name in NAMED if page == "docs/workers.md"} >= WORKERS


def test_every_variable_of_the_command_line_and_of_workers_is_documented() -> None:
    assert ELSEWHERE - {name for page, name in NAMED if page == "docs/settings.md"} == set()
