"""What a server answers, as a model reads it."""

from typing import TYPE_CHECKING, Any

from toolsets import ToolFailed

if TYPE_CHECKING:
    from mcp_types import CallToolResult

MAX_ERROR = 4_000


def result_of(result: "CallToolResult") -> Any:
    """The structured content if there is any, else the text; what is neither is noted. Raises `ToolFailed`."""
    parts = [_part(block.model_dump(mode="json", by_alias=True, exclude_none=True)) for block in result.content]
    if result.is_error:
        text = "\n".join(parts)
        raise ToolFailed(text[:MAX_ERROR] or "The tool failed and doesn't say why.")
    if result.structured_content is not None:
        notes = [part for part, block in zip(parts, result.content, strict=True) if block.type != "text"]
        return {"content": result.structured_content, "notes": notes} if notes else result.structured_content
    return parts[0] if len(parts) == 1 else "\n".join(parts)


def _part(block: dict[str, Any]) -> str:
    match block["type"]:
        case "text":
            return str(block["text"])
        case "resource" if "text" in block["resource"]:
            return f"{block['resource'].get('uri')}:\n{block['resource']['text']}"
        case "resource":
            inner = block["resource"]
            return f"(a file {inner.get('uri')} of type {inner.get('mimeType')}, which can't be shown)"
        case "resource_link":
            return f"(see {block.get('uri')}: {block.get('description') or block.get('name')})"
        case kind:
            size = len(block.get("data", "")) * 3 // 4
            return f"({kind} of type {block.get('mimeType')}, some {size} bytes, which can't be shown)"
