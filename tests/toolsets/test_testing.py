from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from toolsets import ToolContext, ToolFailed, Toolset
from toolsets.builtin.clock import clock
from toolsets.builtin.files import files
from toolsets.testing import call, conforms

pytestmark = pytest.mark.unit


class Required(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str


def test_what_is_built_in_conforms() -> None:
    conforms(clock)
    conforms(files)


async def test_a_tool_is_called_as_by_a_model(tmp_path: Path) -> None:
    await call(files, "write", workspace=tmp_path, path="a.txt", content="x")

    assert await call(files, "read", workspace=tmp_path, path="a.txt") == "x"
    with pytest.raises(ToolFailed, match="The arguments of files_read are wrong"):
        await call(files, "read", workspace=tmp_path, path=7)


async def test_settings_are_held_to() -> None:
    with pytest.raises(ToolFailed, match="read-only"):
        await call(files, "write", settings={"read_only": True}, path="a.txt", content="x")


async def test_a_tool_that_does_not_exist_is_a_mistake_of_the_test() -> None:
    with pytest.raises(LookupError, match="has no tool wind"):
        await call(clock, "wind")


async def test_a_long_result_is_cut_as_in_an_execution() -> None:
    toolset = Toolset("talker")

    @toolset.tool(effect="read", max_output=5)
    def talk(context: ToolContext) -> str:
        """Talk at length."""
        return "x" * 6

    assert await call(toolset, "talk") == "xxxxx… (cut: the first 5 of 6 characters)"


def test_all_that_is_wrong_is_told_at_once() -> None:
    toolset = Toolset("odd", secrets=["a b"], hosts=["https://example.com/x"])

    @toolset.tool(effect="read")
    def act(context: ToolContext, anything: Any) -> None:
        """Act."""

    with pytest.raises(AssertionError) as caught:
        conforms(toolset)

    assert str(caught.value).splitlines() == [
        "the toolset odd breaks the contract:",
        "- it has no description",
        "- odd_act: a model can't tell from 'Act.' what it does",
        "- odd_act: the type of anything says nothing (Any); models need to know what to send",
        "- the secret 'a b' can't be stored under that name",
        "- 'https://example.com/x' is no host such as api.example.com, *.example.com or localhost:8080",
    ]


def test_a_toolset_without_tools_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="it has no tool"):
        conforms(Toolset("empty", description="Nothing."))


def test_a_toolset_that_needs_settings_is_given_them() -> None:
    toolset = Toolset("placed", description="Somewhere.", settings=Required)

    @toolset.tool(effect="read")
    def look(context: ToolContext[Required]) -> str:
        """Look around there."""
        return context.settings.place

    conforms(toolset, settings={"place": "Bern"})
    with pytest.raises(AssertionError, match="place: Field required"):
        conforms(toolset)
