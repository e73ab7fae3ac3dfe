"""The tables of settings in docs/toolsets.md, from the models of the toolsets."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from toolsets.builtin.mcp.settings import McpServer
from toolsets.builtin.sandbox import SandboxSettings
from toolsets.registry import Registry

PAGE = Path(__file__).parent.parent / "toolsets.md"

_PARTS: dict[str, type[BaseModel]] = {"sandbox": SandboxSettings, "mcp_server": McpServer}
"""Tables of what is a part of several settings, or of one."""

_TABLE = re.compile(r"(<!-- Settings of (\w+), made by `make docs`\. -->\n).*?(<!-- End of settings\. -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with every table as the models have it now."""
    registry = Registry()

    def table(found: re.Match[str]) -> str:
        model = _PARTS.get(found[2]) or registry.get(found[2]).settings
        return f"{found[1]}\n" + "\n".join(_rows(model)) + f"\n\n{found[3]}"

    return _TABLE.sub(table, page)


def _rows(model: type[BaseModel]) -> Iterator[str]:
    yield from ("| Setting | Default | |", "|---|---|---|")
    for name, field in model.model_fields.items():
        # What all have that run programs stands in the table of the sandbox.
        if model is SandboxSettings or not _is_inherited(name, field):
            yield f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {_cell(field)} |"


def _is_inherited(name: str, field: FieldInfo) -> bool:
    common = SandboxSettings.model_fields.get(name)
    return common is not None and common.description == field.description


def _default(value: Any) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, BaseModel):
        return "its own"
    if isinstance(value, ByteSize):
        return value.human_readable(decimal=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else f"`{value}`" if isinstance(value, str) else str(value)


def _cell(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")
