from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from toolsets import Tool, ToolContext, ToolFailed, Toolset
from toolsets.testing import call

pytestmark = pytest.mark.unit

SCHEMA = {"type": "object", "properties": {"depth": {"type": "integer", "minimum": 1}}, "required": ["depth"]}
left: list[str] = []

remote = Toolset("remote", description="Tools that another program describes.")


async def dig(context: ToolContext, arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


@remote.opening
@asynccontextmanager
async def connected(context: ToolContext) -> AsyncIterator[Sequence[Tool]]:
    yield [remote.described("dig", dig, description="Dig a hole.", parameters=SCHEMA, effect="write")]
    left.append("remote")


async def test_tools_may_be_known_only_once_an_execution_runs() -> None:
    left.clear()

    assert remote.tools == {}
    assert await call(remote, "dig", depth=3) == {"depth": 3}
    assert left == ["remote"]


@pytest.mark.parametrize("arguments", [{}, {"depth": 0}, {"depth": "3"}])
async def test_arguments_that_do_not_fit_the_schema_are_named_to_the_model(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match=r"The arguments of remote_dig are wrong.*depth"):
        await call(remote, "dig", **arguments)


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON Schema"):
        remote.described("dig", dig, description="Dig.", parameters={"type": "hole"}, effect="write")


@pytest.mark.parametrize("name", ["dig!", "dig deep", "dig.deep", "d" * 64])
def test_a_name_that_models_do_not_accept_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name"):
        remote.described(name, dig, description="Dig.", parameters=SCHEMA, effect="write")


@pytest.mark.parametrize("elsewhere", ["file:///etc/hostname", "http://169.254.169.254/schema"])
async def test_a_schema_fetches_nothing_from_elsewhere(elsewhere: str) -> None:
    tool = remote.described("dig", dig, description="Dig.", parameters={"$ref": elsewhere}, effect="write")

    with pytest.raises(ToolFailed, match="outside of itself"):
        tool.normalized({})
