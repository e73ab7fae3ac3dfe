"""What is told of a tool's result: without secrets, and no longer than its model should read."""

import json
import logging

from pydantic import JsonValue

from control_plane.client import Refused
from control_plane.wire.artifacts import MOST_BYTES
from flows.blotting import Blotter
from flows.fitting import MAX_ERROR_BYTES, cut
from flows.tool_runs import Ran
from flows.tool_services import Provisions
from toolsets import Tool
from toolsets.outputs import fits, shortened, text_of

logger = logging.getLogger(__name__)


async def output_of(
    ran: Ran, tool: Tool, *, call_id: str, blotter: Blotter, provisions: Provisions
) -> dict[str, JsonValue]:
    """The output as an object. A result that is too long is kept whole as an artifact, and its beginning told."""
    if ran.status == "failed":
        return {"error": cut(blotter.text(ran.error), MAX_ERROR_BYTES)}
    result = blotter.value(ran.result)
    if fits(result, tool.max_output):
        return result if isinstance(result, dict) else {"result": result}
    artifact = await _kept(result, tool, call_id=call_id, provisions=provisions)
    if artifact is None:
        return {"result": shortened(result, tool.max_output)}
    return {"result": shortened(result, tool.max_output, kept=f"artifact {artifact}"), "artifact_id": artifact}


async def _kept(result: JsonValue, tool: Tool, *, call_id: str, provisions: Provisions) -> str | None:
    text = isinstance(result, str)
    name = f"{tool.name}-{call_id}.{'txt' if text else 'json'}"
    written = text_of(result) if text else json.dumps(result, ensure_ascii=False, indent=1)
    content = written.encode(errors="replace")
    if len(content) > MOST_BYTES:
        return None
    try:
        kept = await provisions.keep(name, content, media_type="text/plain" if text else "application/json")
    except Refused as refusal:
        if refusal.status not in {413, 409, 422}:
            raise
        logger.warning("the whole output of %s was not kept: %s", tool.name, refusal.code)
        return None
    return None if kept is None else str(kept)
