"""docs/architecture.md and the decision records name what is there."""

import re
import tomllib

import pytest

from control_plane.executions.dispatch import RUN_ENDED_EARLY, WORKER_LOST
from control_plane.executions.state import Status
from tests.docs.pages import ROOT, blocks, found, text

pytestmark = pytest.mark.unit

PAGE = "docs/architecture.md"
RECORDS = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
FILES = found(r"`([a-z_]+(?:/[a-z_.]+)+\.(?:py|json|rego)|[a-z_]+(?:/[a-z_]+)*/)`")
MADE = {".data/", "postgres/", "prefect/", "logs/", "tmp/"}
"""Folders that are made where the product runs."""


def test_the_directions_of_imports_are_those_that_are_checked() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    [shown] = blocks(PAGE, "text")

    assert shown.splitlines() == contracts[0]["layers"]


def test_every_status_is_told_of() -> None:
    assert [status for status in Status if f"`{status}`" not in text(PAGE)] == []


@pytest.mark.parametrize("code", [WORKER_LOST, RUN_ENDED_EARLY])
def test_the_codes_of_executions_that_were_lost_are_told(code: str) -> None:
    assert f"`{code}`" in text(PAGE)


@pytest.mark.parametrize(("page", "path"), [(page, path) for page, path in FILES if path not in MADE])
def test_a_file_or_folder_that_a_page_names_exists(page: str, path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "control_plane" / path).exists()


def test_files_are_found_in_the_pages() -> None:
    assert (PAGE, "flows/tool_calls.py") in FILES
    assert (PAGE, "executions/state.py") in FILES


def test_the_index_lists_every_decision_and_every_record() -> None:
    index = text("docs/adr/README.md")
    rows = re.findall(r"^\| D(\d+) \| .+ \| (real|partly|not yet) \| .+ \|$", index, re.MULTILINE)

    assert [int(number) for number, _ in rows] == list(range(1, 14))
    assert {name for name in RECORDS if f"]({name})" not in index} == set()


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_context_decision_and_consequences_in_forty_lines(name: str) -> None:
    record = text(f"docs/adr/{name}")

    assert re.findall(r"^\*\*(Context|Decision|Consequences)\.\*\*", record, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
    ]
    assert len(record.splitlines()) <= 40
