"""docs/toolsets.md has every built-in toolset with its tools, effects and settings as they are."""

import re

import pytest

from docs.reference.toolset_settings import filled
from tests.docs.pages import text
from toolsets.registry import Registry

pytestmark = pytest.mark.unit

PAGE = "docs/toolsets.md"
TOOLSETS = ["clock", "files", "git", "github", "http", "kubernetes", "mcp", "python", "shell", "slack", "sql"]


def section(name: str) -> str:
    """What the page says between the heading of a toolset and the next one."""
    [found] = re.findall(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text(PAGE), re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_tables_of_settings_are_those_that_make_docs_writes() -> None:
    assert filled(text(PAGE)) == text(PAGE), "run `make docs`"


@pytest.mark.parametrize("name", TOOLSETS)
def test_every_tool_is_on_the_page_with_its_effect(name: str) -> None:
    said = section(name)

    tools = Registry().get(name).tools
    assert {
        tool for tool in tools if not re.search(rf"^\| `{tool}` \|.*{tools[tool].effect}", said, re.MULTILINE)
    } == set()


@pytest.mark.parametrize("name", TOOLSETS)
def test_every_setting_is_on_the_page(name: str) -> None:
    said = section(name) + text(PAGE).partition("## The sandbox")[2].partition("\n## ")[0]

    settings = Registry().get(name).settings.model_fields
    assert [setting for setting in settings if f"| `{setting}` |" not in said] == []
