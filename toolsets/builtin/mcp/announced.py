"""What a server says of its tools, before a model or a policy gets to hear it.

A server is somebody else's program, and its descriptions are read by a model: what they hold is bounded and shown as
plain text, effects are as bad as the server doesn't rule out, and nothing in a schema makes us fetch anything.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolsets import Effect, ToolFailed
from toolsets.builtin.mcp.settings import McpServer
from toolsets.tool import MAX_NAME_CHARACTERS

if TYPE_CHECKING:
    from mcp_types import Tool, ToolAnnotations

MAX_TOOLS = 128
MAX_DESCRIPTION = 2_000
MAX_SCHEMA_CHARACTERS = 20_000
MAX_DEPTH = 32

_STRENGTH: Mapping[Effect, int] = {"read": 0, "write": 1, "destroy": 2}
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_TEXTS = frozenset({"description", "title", "$comment"})


@dataclass(frozen=True, slots=True)
class Announced:
    """A tool as it may be offered. `remote` is the server's own name for it, `name` what we call it."""

    name: str
    remote: str
    description: str
    parameters: dict[str, Any]
    effect: Effect
    idempotent: bool


def announced(server: str, settings: McpServer, tools: Sequence["Tool"]) -> list[Announced]:
    """The tools that the settings let through. Raises `ToolFailed` if they can't be offered as the settings say."""
    if len(tools) > MAX_TOOLS:
        raise ToolFailed(f"The MCP server {server} has {len(tools)} tools. At most {MAX_TOOLS} can be offered.")
    names = {tool.name for tool in tools}
    for setting, wanted in (("tools", settings.tools or frozenset()), ("effects", settings.effects.keys())):
        if missing := sorted(wanted - names):
            raise ToolFailed(f"The MCP server {server} has no tool {missing[0]!r}, which the setting {setting} names.")
    _check_pinned(server, settings, tools)
    offered = [_one(server, settings, tool) for tool in tools if settings.tools is None or tool.name in settings.tools]
    if len({tool.name for tool in offered}) < len(offered):
        raise ToolFailed(f"The MCP server {server} has two tools whose names can't be told apart.")
    return offered


def fingerprint(tools: Sequence["Tool"]) -> str:
    """What changes as soon as anything does that the server says of its tools."""
    told = sorted((tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools), key=_name)
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def plain(text: str, *, most: int) -> str:
    """Text without characters that nobody sees, and not too much of it."""
    visible = "".join(
        character
        for character in text
        # Control and format characters: escapes, changes of direction, invisible tags and joiners.
        if character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn"}
    ).strip()
    return visible if len(visible) <= most else f"{visible[:most]}…"


def _check_pinned(server: str, settings: McpServer, tools: Sequence["Tool"]) -> None:
    found = fingerprint(tools)
    if settings.pinned and settings.pinned != found:
        raise ToolFailed(
            f"The MCP server {server} says something else of its tools than when they were looked at: they are {found},"
            f" and the setting `pinned` says {settings.pinned}. Somebody has to look at them again."
        )


def _one(server: str, settings: McpServer, tool: "Tool") -> Announced:
    about = f"The tool {tool.name!r} of the MCP server {server}"
    output = getattr(tool, "output_schema", None)
    for schema in (tool.input_schema, *([output] if output else [])):
        _check_schema(about, schema)
    effect = _effect(about, settings, tool)
    annotations = tool.annotations if settings.annotations == "believed" else None
    return Announced(
        name=_called(server, tool.name),
        remote=tool.name,
        description=plain(tool.description or tool.title or "", most=MAX_DESCRIPTION) or f"{tool.name} (of {server})",
        parameters=_schema(tool.input_schema),
        effect=effect,
        idempotent=effect == "read" or bool(annotations and annotations.idempotent_hint),
    )


def _effect(about: str, settings: McpServer, tool: "Tool") -> Effect:
    said = said_effect(tool.annotations if settings.annotations == "believed" else None)
    wanted = settings.effects.get(tool.name, said)
    if _STRENGTH[wanted] < _STRENGTH[said] and not settings.allow_weaker_effects:
        raise ToolFailed(
            f"{about} counts as `{said}`, and the setting `effects` says `{wanted}`, which is weaker. Set"
            " `allow_weaker_effects` if you know better than the server."
        )
    return wanted


def said_effect(annotations: "ToolAnnotations | None") -> Effect:
    """By the defaults of the specification: a tool changes things, and takes things away, unless it says otherwise."""
    if annotations is None:
        return "destroy"
    if annotations.read_only_hint is True:
        return "read"
    return "write" if annotations.destructive_hint is False else "destroy"


def _called(server: str, name: str) -> str:
    """`<server>_<tool>`, short enough behind `mcp_`. What models don't accept in a name becomes `_`."""
    called = f"{server}_{re.sub(r'[^A-Za-z0-9_-]', '_', name)}"
    most = MAX_NAME_CHARACTERS - len("mcp_")
    if len(called) <= most:
        return called
    return f"{called[: most - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _check_schema(about: str, schema: Any) -> None:
    if not isinstance(schema, dict) or len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        raise ToolFailed(f"{about} has a schema of more than {MAX_SCHEMA_CHARACTERS} characters.")
    for key, value in _pairs(about, schema, MAX_DEPTH):
        # A validator would fetch it, from wherever the server says.
        if key in _REFERENCES and isinstance(value, str) and not value.startswith("#"):
            raise ToolFailed(f"{about} has a schema that refers to something outside of itself.")


def _pairs(about: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth == 0:
        raise ToolFailed(f"{about} has a schema that is nested too deeply.")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _pairs(about, inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(about, inner, depth - 1)


def _schema(value: Any) -> Any:
    """The schema with its texts made plain. `$id` is left out: references would be looked up below it."""
    if isinstance(value, dict):
        return {
            key: plain(inner, most=MAX_DESCRIPTION) if key in _TEXTS and isinstance(inner, str) else _schema(inner)
            for key, inner in value.items()
            if not (key == "$id" and isinstance(inner, str))
        }
    return [_schema(inner) for inner in value] if isinstance(value, list) else value


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool["name"])
