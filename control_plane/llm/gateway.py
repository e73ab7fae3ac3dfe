"""The way to every model: LiteLLM behind one narrow door.

LiteLLM takes seconds to import and is loaded once, in a thread, when the server starts. It is told not to phone home
and not to log; prompts and completions pass through and are kept nowhere.
"""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from control_plane.llm.errors import ModelError, explain

logger = logging.getLogger(__name__)

_ACCESS_LOG = logging.getLogger("uvicorn.access")
_LOADING = threading.Lock()
_FIXED = {"timeout": 600.0, "max_retries": 0, "_skip_mcp_handler": True}
"""Whether to try again is the caller's business: it knows when to, and two that do so multiply the calls.

LiteLLM would let a request's tools make this server connect to MCP servers, and needs another package for it.
"""


@cache
def _load() -> ModuleType:
    # Both name a file that LiteLLM would fetch: the one at its import, the other at the first call of a Claude model.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"
    os.environ["LITELLM_TELEMETRY"] = "False"
    import litellm  # noqa: PLC0415 - takes seconds; see above

    from control_plane.llm import scripted_provider  # noqa: PLC0415 - imports litellm too

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.turn_off_message_logging = True
    # The OpenAI SDK, which LiteLLM calls, writes whole requests into its debug log.
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    scripted_provider.register()
    # It looks for credentials in each line of the access log, where `access_log` leaves none, with a dozen patterns.
    for added in [one for one in _ACCESS_LOG.filters if type(one).__module__.startswith("litellm.")]:
        _ACCESS_LOG.removeFilter(added)
    # It brings 300,000 objects that stay. A full collection would look at them all, for a sixth of a second or more.
    gc.collect()
    gc.freeze()
    module: ModuleType = litellm
    return module


def loaded() -> ModuleType:
    """LiteLLM, set up. The first call takes seconds."""
    with _LOADING:
        return _load()


def warm_up() -> None:
    """Begin to load LiteLLM in the background."""
    threading.Thread(target=loaded, name="litellm warm-up", daemon=True).start()


async def complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """One chat completion, whole. Raises `ModelError`."""
    litellm = await asyncio.to_thread(loaded)
    try:
        response = await litellm.acompletion(**request, **_FIXED, stream=False)
    except Exception as error:
        raise _explained(error, request) from error
    answer: dict[str, Any] = response.model_dump(exclude_none=True)
    return answer | {"model": request["model"]}


async def stream(request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
    """One chat completion, chunk by chunk. Raises `ModelError`. Closing the iterator stops the upstream call."""
    litellm = await asyncio.to_thread(loaded)
    try:
        response = await litellm.acompletion(**request, **_FIXED, stream=True)
    except Exception as error:
        raise _explained(error, request) from error
    try:
        async for chunk in response:
            yield chunk.model_dump(exclude_none=True) | {"model": request["model"]}
    except Exception as error:
        raise _explained(error, request) from error
    finally:
        await response.aclose()


def _explained(error: Exception, request: Mapping[str, Any]) -> ModelError:
    explained = explain(error, model=request["model"])
    logger.warning("model %s answered %s: %s", request["model"], explained.status, explained.code)
    return explained
